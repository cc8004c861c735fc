//go:build tools

// Package tools keeps helm, which is built as it is published, in this module's list of requirements.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
