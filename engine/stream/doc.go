// Package stream is the log: one JetStream stream in which all input stands, an
// embedded server for it, the HTTP gateway that speaks the Segment tracking API,
// the reader that the engine pulls from, and the dead letters. It is the only
// package that imports NATS.
//
// A message is acknowledged to whoever sent it only when JetStream has it, and a log
// that is full refuses (ErrFull, or 503 over HTTP); it never drops.
package stream
