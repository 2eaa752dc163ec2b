// Package shop is a simulated shop: what `millrace dev` shows, what the crash test
// kills under, and what the benchmarks are fed with.
//
// The shop sells 240 products on 40 shelves (Catalogue). Every product has complements
// (a tent and a sleeping bag), which is the truth that co-occurrence should find.
// Shoppers visit by a Poisson process that follows the hours of their own week; some
// visit daily, most seldom. In a session a shopper searches, opens lists and looks at
// products of the two categories he likes or at what goes with the last one. One
// session in eleven fills a cart; 30 % of the carts are bought, a third of them hours
// later from another session; the rest stays behind. A few shoppers have two carts.
// Some browse anonymously and identify later, some never do. Orders are refunded and
// reviewed days later.
//
// A Simulation is a discrete-event simulation of this: Next returns the events in the
// order in which they arrive, some late, some twice, some malformed, as the JSON of
// the Segment Node SDK. Delivered tells it that a mail arrived; the recipient may open
// it, click, come back and buy, unsubscribe or complain. Chance belongs to persons and
// mails, never to the shop: the same seed gives the same bytes, and a mail to one
// person changes nothing for another.
//
// A Player plays a Simulation in wall time, faster by a factor, over the ingest
// protocol. A Workload makes cheap canonical events for measuring, and Recount counts
// what any such events must lead to, independently of the engine.
//
// What is left out: daylight saving, stock, price changes, bots, households.
package shop
