package mail

import "sync/atomic"

// senderCounters are the live counts behind SenderStats.
type senderCounters struct {
	sent, unknown, retries, resent, repeated atomic.Int64
	onlyTo, unsubscribed, refused            atomic.Int64
	journalErrors, fileErrors                atomic.Int64
}

// skip counts a skipped mail by its reason.
func (c *senderCounters) skip(reason string) {
	switch reason {
	case ReasonOnlyTo:
		c.onlyTo.Add(1)
	case ReasonUnsubscribed:
		c.unsubscribed.Add(1)
	default:
		c.refused.Add(1)
	}
}

// SenderStats are counts since NewSender.
type SenderStats struct {
	Sent          int64 // accepted by the server
	Unknown       int64 // ended as unknown
	Retries       int64 // times a RetryError was answered
	Resent        int64 // mails in doubt that were sent again under AtLeastOnce
	Repeated      int64 // jobs whose outcome stood in the journal already
	OnlyTo        int64 // skipped: held back by the pattern
	Unsubscribed  int64 // skipped: suppressed
	Refused       int64 // skipped: refused for good, given up, or an address that cannot be
	JournalErrors int64 // outcomes and failures that the journal did not take
	FileErrors    int64 // files of the mail directory that could not be named or removed
}

// Stats gives the counts.
func (s *Sender) Stats() SenderStats {
	c := &s.count
	return SenderStats{Sent: c.sent.Load(), Unknown: c.unknown.Load(), Retries: c.retries.Load(), Resent: c.resent.Load(),
		Repeated: c.repeated.Load(), OnlyTo: c.onlyTo.Load(), Unsubscribed: c.unsubscribed.Load(), Refused: c.refused.Load(),
		JournalErrors: c.journalErrors.Load(), FileErrors: c.fileErrors.Load()}
}
