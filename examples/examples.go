// Package examples is sample fleets, a folder for each topic, to read, to copy and
// to try. Those that `jeroboam demo` begins with are in the program.
package examples

import "embed"

// Fleets are the documents of some of the folders.
//
//go:embed docker/*.yaml ha-kubernetes/*.yaml
var Fleets embed.FS
