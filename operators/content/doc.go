// Package content writes the mail: its subject, preheader, opening, product sentence and
// call to action by the LSTM, an HTML body and a plain-text part by templates.
//
// The network chooses words and order; it never writes a fact. Slots such as {product}
// and {price} are tokens, filled after decoding by an exact copy from the event; the
// vocabulary holds no digit and no currency, so no price can be made up. What the
// network proposes is masked while it decodes and checked again as rendered text;
// what does not survive is replaced by a written line, with the reason.
//
// The corpus is small and the network mostly remembers it: in the model that is
// shipped, the share of sampled subjects that stand in no line of the corpus is the
// metric "novel" of the model's file (less than a tenth, most of them a known line with
// another category's words). It is a conditioned, seeded choice among good lines with
// some recombination, not an author.
package content
