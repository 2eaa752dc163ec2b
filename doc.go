// Package millrace is the root of Millrace, a stream engine for real-time,
// personalised e-mail. It holds no code of its own, only the tests that keep the
// module tidy and its documentation true. The program is cmd/millrace; the way of
// an event through the packages is told in docs/architecture.md.
package millrace
