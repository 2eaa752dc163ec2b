package stream

const deadPrefix = "dlq."
