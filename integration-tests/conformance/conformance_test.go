// Package conformance runs the official conformance suite of Gateway API.
package conformance

import (
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
)

// TestConformance takes the suite's own flags: `go test -c` makes a program of it.
func TestConformance(t *testing.T) {
	conformance.RunConformance(t)
}
