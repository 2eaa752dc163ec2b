package stream

import "fmt"

// Announce publishes data to whoever listens on subject right now: it is not stored, and
// nothing is said when nobody does. It is for figures of which only the newest count.
func (l *Log) Announce(subject string, data []byte) error {
	if err := l.nc.Publish(subject, data); err != nil {
		return fmt.Errorf("announce on %s: %w", subject, err)
	}
	return nil
}
