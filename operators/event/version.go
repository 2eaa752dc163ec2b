package event

import (
	"strconv"
	"strings"
)

// VersionText is what a decision keeps of the rules that made it: the hash of the pipeline
// file and, unless 0, the number of the version of all pipelines that ran.
func VersionText(file string, number uint64) string {
	if number == 0 {
		return file
	}
	return file + "/" + strconv.FormatUint(number, 10)
}

// MadeBy is the version of the pipelines that made the decision, and the hash of its
// pipeline file. The number is 0 in decisions that were kept before they named it.
func (d *Decision) MadeBy() (number uint64, file string) {
	file, text, _ := strings.Cut(d.Version, "/")
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, file
	}
	return number, file
}
