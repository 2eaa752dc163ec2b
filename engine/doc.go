// Package engine runs a staged graph of keyed operators over one log. It cuts the
// log into epochs, keeps keyed state and event-time timers, and commits state,
// timers, outbox and position of an epoch as one record; only then may its effects
// leave. Same log in, same state and same effects out.
package engine
