// Package engine runs a staged graph of keyed operators over one log. It cuts the
// log into epochs, keeps keyed state and event-time timers, and commits state,
// timers, outbox and position of an epoch as one record; only then may its effects
// leave. Same log in, same state and same effects out.
//
// # A graph
//
// [NewGraph] takes the root, which sends each unit of the log to a stage and a key.
// [AddStage] adds stages; each message runs through all operators of its stage, in the
// order in which [Stage.Use] added them, and may go on to later stages. What flows
// backward returns through the log.
//
// An operator is anything with a Process method, see [Operator], or a [Func] made of
// functions. It may also be a [TimerHandler], and an [Opener] that has something to do
// before the first message. It sees its message, its state, the watermark and nothing
// else: no clock, no chance, no order of a Go map. Then the same log gives the same
// decisions, however it is cut into epochs and wherever it was interrupted.
//
// # State
//
// What an operator keeps it keeps under the key that is being processed:
//
//   - a value of its own type, in a state.Cell ([Value], [Changed]);
//   - a list that is bounded ([NewListState]);
//   - a map whose entries are loaded one at a time ([NewMapState]);
//   - one value into which others are merged ([NewReducingState]).
//
// Lists, maps and reducing values may have a TTL by event time. Their elements have a
// codec, and [Versioned] makes one that reads what older versions of the program wrote.
// [Graph.Rename] moves the state of a cell to a new name.
//
// Windows ([NewWindowOperator]), patterns ([BeginPattern]), joins
// ([NewIntervalJoinOperator], [NewTableJoinOperator]) and lookups ([NewLookupOperator])
// are operators that bring their own state.
//
// # Effects
//
// [Ctx.Effect] decides that something leaves the engine. It becomes a row of the outbox,
// and a [Handler] carries it out after the epoch has committed.
//
// # Tests
//
// Package enginetest has a Rig, which runs the operators of a stage with a real engine
// in the event time that the test says; the examples on this page use it. It opens the
// engine anew for each step, so that what an operator kept outside of its state is seen
// to be lost.
package engine
