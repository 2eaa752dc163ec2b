// Package accuracy measures how good the models are, on data sets that lie outside the
// project: it reads folders in documented formats, splits them without letting test data
// into training, and returns tables. The commands `millrace eval …` print them. Nothing
// here is used by the product, and no test needs a data set.
package accuracy
