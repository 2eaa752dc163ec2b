// Package state keeps what the engine knows: one Badger database per data
// directory, opened by this package alone, and before it the epoch log, in which a
// record is committed as soon as it stands there whole. It offers typed cells with a
// write-back cache of decoded values, records, and snapshots for readers outside.
//
// Keys begin with one byte that names their space:
//
//	0x01 name                        facts about the store itself
//	0x02 group cell(2) key           values of cells; group is KeyGroup(key)
//	0x03 due(8) operator(2) key tag  pending timers, in firing order
//	0x04 row(8)                      the outbox, in order of decision
//	0x05 epoch(8) part(2)            messages to lazy stages, until their cells are written
//	0x06 group cell(2) part(2) key   parts of values, see Parted
//
// so that a key group is one range within a space, and the first timer and the
// oldest outbox row are the first keys of theirs.
package state
