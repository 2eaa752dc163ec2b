// Package mail turns a draft into bytes and hands them to an SMTP server at most
// once. It holds the MIME builder, the SMTP sender, the journal of rendered bytes
// that makes sending once-only, the endpoints behind the links in a mail
// (unsubscribe, open, click), the set of suppressed persons that is read before each
// send, and an inbox that stands in for a real server in tests and in development.
//
// The moment that cannot be known is the final dot of the SMTP dialogue: when the
// link drops after the dot was handed over and before the answer came, nobody can
// say whether the server took the mail. The journal notes the attempt, synced, just
// before the dot. A decision with an attempt and no outcome is therefore in doubt,
// and its Policy says what happens: AtMostOnce ends it as unknown, AtLeastOnce sends
// the same bytes, with the same Message-ID, again. Before the dot every failure is
// safe to retry.
//
// Addresses, names and rendered bytes stand only in the journal, in the mail
// directory and on the wire. No error, log line or counter of this package holds one.
package mail
