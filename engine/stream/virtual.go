package stream

import "github.com/nats-io/nats-server/v2/server/ats"

// VirtualTime makes an embedded server fit to run in a testing/synctest bubble: it
// starts, outside of the bubble, the clock that all servers of a process share. A
// clock started inside would belong to the bubble, or keep its time from passing.
// Call it before the bubble begins and stop after it has ended.
func VirtualTime() (stop func()) {
	ats.Register()
	return ats.Unregister
}
