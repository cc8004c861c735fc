//go:build tools

// Package tools keeps Envoy Gateway, which is built as it is published, in this module's list of requirements.
package tools

import _ "github.com/envoyproxy/gateway/cmd/envoy-gateway"
