// Package sentiment judges the tone of short texts: reviews, replies to mails, messages
// to the service; and ranks headlines by how often they would be opened.
//
// Four models do it, in English and Chinese: multinomial naive Bayes, logistic
// regression on hashed n-grams, an LSTM, and a stacked ensemble of them. Each is
// calibrated on parts of its training set that it has not seen, so that what it calls 80 %
// is right in four of five cases. Models learn new labels one at a time, say of which texts
// they are least certain, and a drift alarm compares what they meet with what they
// were trained on.
//
// Everything is a function of examples, options and seed: the same ones give the same
// model to the last bit.
package sentiment
