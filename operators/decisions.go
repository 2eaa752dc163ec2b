package operators

import (
	"millrace/engine"
	"millrace/operators/event"
	"millrace/operators/trigger"
)

// EachDecision calls fn with every decision that the state still knows, person by person,
// oldest first, until fn answers false. A decision is valid only during the call; its
// strings may be kept.
func (p *Pipeline) EachDecision(v *engine.View, fn func(*event.Decision) bool) error {
	return p.Graph.EachAny(v, p.trigger.Cell.Name(), func(_ string, value any) bool {
		st, ok := value.(*trigger.State)
		if !ok {
			panic("BUG: the cell of triggers holds something else")
		}
		for i := range st.Records {
			if !fn(&st.Records[i]) {
				return false
			}
		}
		return true
	})
}
