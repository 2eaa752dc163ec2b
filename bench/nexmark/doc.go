// Package nexmark runs queries of the Nexmark benchmark (people, auctions and bids of an
// on-line auction) on the engine: a seeded generator, whose events anybody can make again
// from this package's description, and q0, q1, q2, q3, q4, q5, q7, q8, q11 and q12 as
// graphs of operators. The queries follow the SQL of the Nexmark project; the generator
// follows its distributions, with the ids of Apache Beam and a random generator per
// event, so that answers can be compared exactly, with other engines too.
//
// Rows go to a Sink, which counts and hashes them, as the discarding sink of the
// benchmark does. State, timers and positions are committed as always.
package nexmark
