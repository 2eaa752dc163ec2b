package engine

// This file moves the position: what is committed of the log, and compared with it when
// it is read on.

// resume fits the position to the log that was opened.
func (e *Engine) resume(found bool) {
	at := &e.progress.Position
	was := at.Seq
	switch i := &e.info; {
	case found && at.Created != 0 && at.Created != i.Created: // made anew: all that it holds is new
		at.Seq, at.Index, at.Hash = max(i.First, 1)-1, 0, 0
	case i.Last < at.Seq: // rewound: what comes next takes a number that we have read before
		at.Seq, at.Index, at.Hash = i.Last, 0, 0
	case i.First > i.Last && e.o.AcceptGap: // all that we have not read is gone
		at.Seq, at.Index, at.Hash = i.Last, 0, 0
	}
	at.Stream, at.Created = e.info.Stream, e.info.Created
	if at.Seq != was {
		e.units = 1 // it is to be committed, or the next start would compare with the old one
	}
}

// inside moves the position into message seq, of which so many units are processed.
func (e *Engine) inside(seq uint64, units uint32) {
	at := &e.progress.Position
	if at.Seq != seq-1 { // a gap in the log: the message before is one that nobody can compare
		e.whole, e.lastData, at.Hash = false, nil, 0
	}
	at.Seq, at.Index = seq-1, units
}

// beyond moves the position behind a message.
func (e *Engine) beyond(m *Message) {
	at := &e.progress.Position
	at.Seq, at.Index = m.Seq, 0
	e.whole, e.lastData = true, m.Data
	e.units = max(e.units, 1) // an empty message moves the position too
}

// hashPosition keeps the hash of the last message that was read whole, if one was since
// the engine opened: the bytes may be none.
func (e *Engine) hashPosition() {
	if e.whole {
		e.progress.Position.Hash = HashMessage(e.lastData)
	}
}
