package mail

import "slices"

// Copy lets what one person wants no mails of hold for another one too: he is the same
// person, by a name that he got later. When it answers nil, that is on disk. It adds only,
// never removes, and doing it again does nothing.
func (s *Suppressed) Copy(from, to string, lists ...string) error {
	for _, list := range append(slices.Clone(lists), AllLists, Everything) {
		s.mu.RLock()
		_, in := s.set[suppressKeyOf(from, list)]
		s.mu.RUnlock()
		if !in {
			continue
		}
		if err := s.Add(to, list); err != nil {
			return err
		}
	}
	return nil
}
