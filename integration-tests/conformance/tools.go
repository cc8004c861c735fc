//go:build tools

// Package tools keeps the suite's backend, which is built as it is published, in this module's list of requirements.
package conformance

import _ "sigs.k8s.io/gateway-api/conformance/echo-basic"
