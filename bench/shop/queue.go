package shop

// What stands in the queue of the simulation.
const (
	doEmit   = iota // an event arrives
	doVisit         // a person comes by himself
	doReturn        // a person comes back to buy a cart
	doClick         // a person comes from a mail
)

// pending is something that will happen.
type pending struct {
	at     int64
	who    int
	serial uint32
	what   uint8
	event  *Event // doEmit
	cart   string // doReturn
	click  *click // doClick
}

// before is the total order of the simulation: time, person, then the order in which
// the person's things were planned. It does not depend on when they were planned
// relative to another person's.
func (a *pending) before(b *pending) bool {
	if a.at != b.at {
		return a.at < b.at
	}
	if a.who != b.who {
		return a.who < b.who
	}
	return a.serial < b.serial
}

// queue is a binary heap. It is never empty: every person has a next visit in it.
type queue struct {
	heap []pending
}

func (q *queue) first() *pending { return &q.heap[0] }

// push plans something for a person.
func (s *Simulation) push(who int, do pending) {
	p := &s.people[who]
	p.serial++
	do.who, do.serial = who, p.serial
	s.queue.push(do)
}

func (q *queue) push(do pending) {
	q.heap = append(q.heap, do)
	h := q.heap
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].before(&h[up]) {
			return
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

func (q *queue) pop() {
	h := q.heap
	last := len(h) - 1
	h[0] = h[last]
	h[last] = pending{} // let go of the event
	h = h[:last]
	q.heap = h
	for i := 0; ; {
		least, left := i, 2*i+1
		for child := left; child <= left+1 && child < last; child++ {
			if h[child].before(&h[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}
