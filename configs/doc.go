// Package configs reads the files that say what millrace does: shop.yaml, the base
// graph that all journeys share, and one file per journey. It imports no other
// package of millrace; the words that the files may use (events, keys, variables of
// conditions) are handed in by those who act on them.
//
// # Loading
//
// A Loader holds the words; Load reads files and returns a Set, a shop with its
// journeys, with every duration parsed, every default filled in and every condition
// compiled:
//
//	set, err := configs.Load("configs/cart-abandonment.yaml")
//
// A journey may be given alone: the shop.yaml beside it is used, and without one the
// shop that is shipped in the program. Paths may be directories ("configs",
// "configs/...").
//
// # What is wrong is said at once, and where
//
// The error of Load is a Problems: everything that is wrong in all files, sorted, as
//
//	cart.yaml:12:9: trigger.wait: got "7 days", expected a duration such as 30s, 1h or 7d
//	cart.yaml:19:3: audience.wen: unknown key "wen", expected one of when (did you mean "when"?)
//	cart.yaml:20:40: audience.when: unknown name "profil" (did you mean "profile"?)
//
// Reading is strict. Unknown keys, keys given twice, anchors and aliases, tags,
// several documents, tabs that indent, other encodings and files above 1 MiB are
// refused. So are the parts of the form that are defined but not built yet (holdouts,
// variants, quiet hours, caps): to ignore them would be to mail people whom the file
// meant to leave alone. The check itself is the JSON Schema that Loader.Schema
// prints, made from the Go types Shop and Journey; editors complete files with it.
//
// # Conditions
//
// trigger.start.when and audience.when are expressions over the variables of an Env.
// The language is that of expr-lang, cut down to what is bounded and gives the same
// answer at any time and place:
//
//	|| or   && and   ! not   == != < <= > >=   + - * / %   a ? b : c
//	in ["a", "b"]   "x" in profile.categories   contains startsWith endsWith matches
//	len abs ceil floor round min max lower upper trim hasPrefix hasSuffix
//
// Every variable has a type and always a value: what is not known is false, 0, ""
// or empty. A checked condition runs as Go closures over slots, an array of Values in
// the order of the Env's fields, at some nanoseconds and without allocation; what has
// no closure (abs ceil floor round min max lower upper trim, ** and joined texts)
// runs in expr's virtual machine, in microseconds. Who evaluates conditions
// looks each slot up once, fills an array per decision (only Condition.Uses is read),
// and calls Eval:
//
//	env := loader.TriggerEnv()
//	value, _ := env.Slot("cart.value")
//	slots := make([]configs.Value, env.Len())
//	slots[value] = configs.FloatValue(59.90)
//	if journey.Trigger.Start.When.Eval(slots) { … }
//
// A nil Condition, that of a journey without one, always holds.
//
// # Versions
//
// Each Shop, Journey and Set has a Version, a hash of what it means. Comments, white
// space, quotes, the order of keys, description and owner do not count, nor does
// writing out a default. An equal version means that nothing has to be reloaded; it
// stands in every decision.
package configs
