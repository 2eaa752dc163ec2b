package lstm

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain sees to it that neither training nor running leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
