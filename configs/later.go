package configs

// laterKeys are the parts of the form that are defined and not built yet, by path.
// They are refused with this message; to ignore them would be to mail people whom the
// file meant to leave alone.
var laterKeys = map[string]string{
	"content.experiment":           "the section experiment names and tunes the journey's experiment",
	"content.guard":                "the guard comes with models by version; content.banned lists words",
	"content.generate":             "models by name@version come later; content.subject: lstm uses the built-in one",
	"content.template":             "templates of one's own come later; content.kind chooses the built-in one",
	"experiment.bandit":            "shares that move by themselves are experiment.optimise",
	"content.variants.*.template":  "templates of one's own come later; a variant may set subject and count",
	"content.variants.*.generate":  "models by name@version come later; a variant may set subject: lstm or fallback",
	"content.variants.*.discount":  "discounts come later; a variant may set subject and count",
	"content.variants.*.delay":     "a delay of its own comes with quiet hours; a variant may set subject and count",
	"content.variants.*.send_hour": "a time of sending comes with quiet hours",
	"content.variants.*.tone":      "tones come later; a variant may set subject and count",
	"content.variants.*.layout":    "layouts come later; a variant may set subject and count",
	"measure.alert":                "alerts by mail and webhook come later; a stop stands in the log, the journal and the metrics",
	"send.at":                      "a time of sending comes with quiet hours",
	"send.window":                  "quiet hours come later",
	"send.caps":                    "caps come later; trigger.at_most bounds one journey and send.rate the speed",
	"trigger.cancel.when":          "only events cancel so far",
	"trigger.finish":               "people in flight are judged by the new rules so far",
	"trigger.pattern":              "patterns of several events come later",
	"trigger.wait_until":           "a wait until a time of day comes later",
	"steps":                        "the long form comes later; the journey form is read",
	"state":                        "resets of state come with plans",
	"canary":                       "canaries come with reload",
	"caps":                         "caps come later; trigger.at_most bounds one journey",
	"profile.segments":             "segments are declared beside profile, under segments",
	"privacy":                      "privacy settings come later",
	"quiet_hours":                  "quiet hours come later",
	"content.recommend.hybrid":     "by: hybrid, or items.recommend of shop.yaml, says so",
	"content.recommend.explore":    "exploration comes with bandits",
}

// laterValues are values that are defined and not built yet, by path without indices.
var laterValues = map[string]map[string]string{
	"mode": {"shadow": "shadow runs come with reload; paused starts and sends nothing"},
	"content.recommend.from": {
		"similar-items": "they are part of by: hybrid",
		"session":       "visits are part of by: hybrid",
		"hybrid":        "by: hybrid, or items.recommend of shop.yaml, says so",
	},
	"content.kind": {
		"price-drop":    "changes of the catalogue start no journeys so far",
		"back-in-stock": "changes of the catalogue start no journeys so far",
	},
	"trigger.key": {"order_id": "a wait per order comes later; user_id and cart_id key it"},
}
