// Package lstm is the recurrent network shared by the writer of subject lines and
// by sentiment: a conditioned LSTM language model.
//
// Gorgonia trains it and is the source of truth; a hand-written step, which
// allocates nothing, runs it. Both work on the same plain float32 weights, and a
// test holds their logits together to 1e-5.
//
// Three families of stock operations of gorgonia v0.9.18 are silently wrong and are
// not used here: Slice and the gradient of Concat (two slices whose bounds agree in
// their lowest eight bits become one node), and SoftMax and LogSoftMax (the row
// maximum is taken from the first element of the whole tensor). What they would do is
// done by two operations of our own, one for the whole sequence and one for the
// weighted cross-entropy; an independent float64 network is the test's oracle.
//
// The condition (what the line is about) is fed into the gates and into the output
// layer. Fed into the gates alone it is learnt late, long after the loss looks done.
package lstm

// The pinned version of this module keeps gorgonia from panicking at start on
// current Go; the import keeps the pin from being tidied away.
import _ "go4.org/unsafe/assume-no-moving-gc"
