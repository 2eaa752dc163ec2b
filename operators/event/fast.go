package event

// This file is the fast path: one pass over an event, no copies, no allocation. It
// answers false to whatever is unusual (a repeated key, escapes in a key, too deep),
// and the slow path then decides what that means.

// readEvent reads one event into f. At the top of a message it leaves batches and
// envelopes alone.
func (s *scanner) readEvent(f *fields, top bool) bool {
	if !s.take('{') {
		return false
	}
	for first := true; ; first = false {
		key, state := s.key(first)
		if state != more {
			return state == end
		}
		object, ok := false, false
		switch id := eventField(key); id {
		case none:
			ok = s.skip(2)
		case eBatch, eEnvelope:
			ok = !top && s.skip(2)
		case eProperties:
			if object, ok = s.object(&f.event, id, 2); object {
				ok = s.readProperties(f)
			}
		case eTraits:
			if object, ok = s.object(&f.event, id, 2); object {
				ok = s.readGroup(&f.traits, traitField, 2)
			}
		case eContext:
			if object, ok = s.object(&f.event, id, 2); object {
				ok = s.readContext(f)
			}
		case eIntegrations:
			if object, ok = s.object(&f.event, id, 2); object {
				ok = s.readGroup(&f.integrations, integrationField, 2)
			}
		default:
			v := f.event.put(id)
			ok = v != nil && s.value(v, 2)
		}
		if !ok {
			return false
		}
	}
}

// object notes that an object stands at field id and leaves it to be read, or reads
// the value that stands there instead.
func (s *scanner) object(g *group, id uint8, depth int) (object, ok bool) {
	v := g.put(id)
	if v == nil {
		return false, false
	}
	if s.peek() != '{' {
		return false, s.value(v, depth)
	}
	*v = val{t: '{'}
	return true, true
}

// readGroup reads an object whose members are all kept as they are.
func (s *scanner) readGroup(g *group, field func(string) uint8, depth int) bool {
	if !s.take('{') {
		return false
	}
	for first := true; ; first = false {
		key, state := s.key(first)
		if state != more {
			return state == end
		}
		id := field(key)
		if id == none {
			if !s.skip(depth + 1) {
				return false
			}
			continue
		}
		v := g.put(id)
		if v == nil || !s.value(v, depth+1) {
			return false
		}
	}
}

// readContext reads the context of an event or of a batch.
func (s *scanner) readContext(f *fields) bool {
	if !s.take('{') {
		return false
	}
	for first := true; ; first = false {
		key, state := s.key(first)
		if state != more {
			return state == end
		}
		object, ok := false, false
		switch id := contextField(key); id {
		case none:
			ok = s.skip(3)
		case cTraits:
			if object, ok = s.object(&f.context, id, 3); object {
				ok = s.readGroup(&f.personal, traitField, 3)
			}
		default:
			v := f.context.put(id)
			ok = v != nil && s.value(v, 3)
		}
		if !ok {
			return false
		}
	}
}

// readProperties reads properties, with their list of products if they have one.
func (s *scanner) readProperties(f *fields) bool {
	if !s.take('{') {
		return false
	}
	for first := true; ; first = false {
		key, state := s.key(first)
		if state != more {
			return state == end
		}
		id := propertyField(key)
		if id == none {
			if !s.skip(3) {
				return false
			}
			continue
		}
		v := f.props.put(id)
		if v == nil {
			return false
		}
		ok := false
		if (id == fProducts || id == fItems) && s.peek() == '[' {
			*v = val{t: '['}
			ok = f.listOf == none && s.readProducts(f)
			f.listOf = id
		} else {
			ok = s.value(v, 3)
		}
		if !ok {
			return false
		}
	}
}

// readProducts reads a list of objects; a list of something else is left to the slow
// path.
func (s *scanner) readProducts(f *fields) bool {
	s.i++
	s.ws()
	if s.take(']') {
		return true
	}
	for {
		if !s.readGroup(f.product(), productField, 4) {
			return false
		}
		s.ws()
		if s.take(']') {
			return true
		}
		if !s.take(',') {
			return false
		}
		s.ws()
	}
}
