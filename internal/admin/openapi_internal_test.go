package admin

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the OpenAPI document")

// TestTheDocumentIsMadeOfTheRoutes holds openapi.json to the table of routes and to the types of their answers; their comments are its
// descriptions.
func TestTheDocumentIsMadeOfTheRoutes(t *testing.T) {
	d := describer{comments: readComments(t), schemas: object{}, problems: object{}}
	raw, err := json.MarshalIndent(d.document(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	raw = append(raw, '\n')
	if *update {
		if err := os.WriteFile("openapi.json", raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(raw, document) && !*update {
		t.Error("openapi.json is not what the routes and types say: go test ./internal/admin -run Document -update")
	}
}

type object map[string]any

// describer makes the document.
type describer struct {
	comments map[string]string // by "Type" and "Type.Field"
	schemas  object
	problems object // answers by status
}

func (d *describer) document() object {
	paths := object{}
	for _, one := range routes() {
		path, ok := paths[one.path].(object)
		if !ok {
			path = object{}
			paths[one.path] = path
		}
		path[strings.ToLower(one.method)] = d.operation(one)
	}
	d.schema(reflect.TypeFor[Problem]())
	d.schema(reflect.TypeFor[Item]())
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "deltahook", "version": "1",
			"description": "The admin API of deltahook. Reading is open on loopback; actions, and everything from elsewhere, need the admin token. " +
				"Times are RFC 3339. What is empty is left out where the schema does not require it. Errors are problem details (RFC 9457).",
			"license": object{"name": "MIT", "identifier": "MIT"},
		},
		"servers": []object{{"url": "/"}},
		"paths":   paths,
		"components": object{
			"responses": d.problems,
			"schemas":   d.schemas,
			"securitySchemes": object{
				"token": object{"type": "http", "scheme": "bearer", "description": "the admin token"},
			},
		},
	}
}

func (d *describer) operation(one route) object {
	op := object{"operationId": one.name, "summary": one.about, "responses": d.responses(one)}
	params := []object{}
	for _, name := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(one.path, -1) {
		params = append(params, object{"name": name[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	list := one.params
	if one.pages {
		list = append(slices.Clone(list), pageParams()...)
	}
	for _, p := range list {
		params = append(params, p.describe())
	}
	if len(params) > 0 {
		op["parameters"] = params
	}
	switch one.access {
	case open:
		op["security"] = []object{}
	case looks:
		op["security"] = []object{{}, {"token": []string{}}}
	case acts:
		op["security"] = []object{{"token": []string{}}}
	}
	return op
}

func (p param) describe() object {
	schema := object{"type": "string"}
	switch p.format {
	case "integer":
		schema = object{"type": "integer", "minimum": 0}
	case "boolean":
		schema = object{"type": "boolean"}
	case "date-time":
		schema["format"] = "date-time"
	}
	if len(p.one) > 0 {
		schema["enum"] = p.one
	}
	out := object{"name": p.name, "in": "query", "description": p.about, "schema": schema}
	if p.repeated {
		out["schema"] = object{"type": "array", "items": schema}
	}
	if p.required {
		out["required"] = true
	}
	return out
}

func (d *describer) responses(one route) object {
	kind, schema := one.kind, object{"type": "string"}
	switch {
	case one.answer != nil:
		kind, schema = jsonKind, d.schema(reflect.TypeOf(one.answer))
	case kind == jsonKind:
		schema = object{"type": "object"}
	case kind == streamKind:
		schema["description"] = "server-sent events whose data is an Item, or at the end a text"
	}
	good := object{"description": http.StatusText(http.StatusOK), "content": object{kind: object{"schema": schema}}}
	if one.pages {
		good["headers"] = object{"Link": object{
			"description": `the next page, rel="next"; not there on the last one`, "schema": object{"type": "string"},
		}}
	}
	all := object{"200": good}
	statuses := append([]int{400, 406, 415, 500}, one.errors...)
	if one.access != open {
		statuses = append(statuses, 401, 403, 429)
	}
	for _, status := range statuses {
		all[strconv.Itoa(status)] = object{"$ref": "#/components/responses/" + strconv.Itoa(status)}
		d.problems[strconv.Itoa(status)] = object{
			"description": http.StatusText(status),
			"content":     object{problemKind: object{"schema": object{"$ref": "#/components/schemas/Problem"}}},
		}
	}
	return all
}

// schema describes a type; one with a name stands among the components.
func (d *describer) schema(t reflect.Type) object {
	switch t {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[json.RawMessage]():
		return object{"description": "any JSON"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return d.schema(t.Elem())
	case reflect.Slice:
		return object{"type": "array", "items": d.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": d.schema(t.Elem())}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return object{"type": "integer"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Struct:
		name := title(t.Name())
		if d.schemas[name] == nil {
			d.schemas[name] = object{} // it may be inside of itself
			d.schemas[name] = d.object(t)
		}
		return object{"$ref": "#/components/schemas/" + name}
	default:
		panic("no schema for " + t.String())
	}
}

func (d *describer) object(t reflect.Type) object {
	out := object{"type": "object"}
	if text := d.comments[t.Name()]; text != "" {
		out["description"] = text
	}
	properties, required := object{}, []string{}
	d.fields(t, properties, &required)
	out["properties"] = properties
	if slices.Sort(required); len(required) > 0 {
		out["required"] = required
	}
	return out
}

// fields adds those of a struct, and those of the structs in it that have no name of their own.
func (d *describer) fields(t reflect.Type, properties object, required *[]string) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			d.fields(f.Type, properties, required)
			continue
		}
		if name == "" || name == "-" {
			panic(fmt.Sprintf("%s.%s has no name in JSON", t, f.Name))
		}
		schema := d.schema(f.Type)
		if text := d.comments[t.Name()+"."+f.Name]; text != "" {
			schema["description"] = text
		}
		properties[name] = schema
		if !strings.Contains(options, "omit") {
			*required = append(*required, name)
		}
	}
}

// readComments gives the comments of the types of this package and of their fields.
func readComments(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if gen, ok := decl.(*ast.GenDecl); ok && gen.Tok == token.TYPE {
				for _, spec := range gen.Specs {
					if one, ok := spec.(*ast.TypeSpec); ok {
						readType(comments, gen, one)
					}
				}
			}
		}
	}
	return comments
}

func readType(comments map[string]string, gen *ast.GenDecl, spec *ast.TypeSpec) {
	name := spec.Name.Name
	comments[name] = oneLine(gen.Doc)
	fields, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range fields.Fields.List {
		text := oneLine(f.Doc) + oneLine(f.Comment)
		for _, id := range f.Names {
			comments[name+"."+id.Name] = text
		}
	}
}

func oneLine(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }

func TestEachRouteHasANameOfItsOwnAndIsServed(t *testing.T) {
	h := &handler{mux: http.NewServeMux()}
	seen := map[string]bool{}
	for _, one := range routes() {
		if seen[one.name] || one.about == "" || (one.do == nil) == (one.serve == nil) {
			t.Errorf("%s %s: %+v", one.method, one.path, one)
		}
		seen[one.name] = true
		h.mux.Handle(one.method+" "+one.path, h.route(one)) // panics when two are the same
	}
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		t.Fatal(err)
	}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			if !seen[op.OperationID] {
				t.Errorf("nothing serves %s %s", method, path)
			}
			delete(seen, op.OperationID)
		}
	}
	if len(seen) > 0 {
		t.Errorf("the document lacks %s", slices.Sorted(maps.Keys(seen)))
	}
}
