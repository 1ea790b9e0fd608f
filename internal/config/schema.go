package config

import _ "embed" // schema.json

//go:embed schema.json
var schemaText string

// Schema is the JSON Schema (2020-12) of the configuration, for editors and other programs. A test makes it of the types of the
// sections and of config.toml, and holds it to both.
func Schema() string { return schemaText }
