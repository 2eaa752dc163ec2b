// Package privacy keeps what identifies people out of state, subjects and file
// names: ids become keyed pseudonyms from the first day, and addresses are masked
// before anybody sees them. It imports nothing of the project.
package privacy
