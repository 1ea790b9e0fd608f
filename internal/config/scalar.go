package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

// text binds a value whose type reads a text.
func (b *binding) text(v any, n *node, target reflect.Value, into encoding.TextUnmarshaler, path []string) {
	if _, ok := into.(*setting.Secret); ok {
		b.hide(v, n, path)
	}
	s, ok := v.(string)
	if !ok {
		if number, is := v.(int64); is && b.number(number, n, into, path) {
			return
		}
		b.noText(v, n, target, path)
		return
	}
	if err := into.UnmarshalText([]byte(s)); err != nil {
		if strings.Contains(s, "-----BEGIN") { // a private key where its file was to be named
			b.doc.secrets = append(b.doc.secrets, n.place())
		}
		b.bad(n, path, err)
	}
}

// number binds a bare number where one may stand instead of a text.
func (b *binding) number(v int64, n *node, into encoding.TextUnmarshaler, path []string) bool {
	numeric, ok := into.(setting.Numeric)
	if !ok {
		return false
	}
	if err := numeric.SetNumber(v); err != nil {
		b.bad(n, path, err)
	}
	return true
}

// noText reports a value that should have been a text.
func (b *binding) noText(v any, n *node, target reflect.Value, path []string) {
	number := numberText(v)
	what, unit := "", ""
	switch target.Interface().(type) {
	case setting.Duration:
		what, unit = "duration", "s"
	case setting.Size:
		what, unit = "size", "MiB"
	case setting.Share:
		what, unit = "share", "%"
	case setting.Rate:
		what, unit = "rate", "/s"
	}
	if number == "" || what == "" {
		_, secret := reflect.TypeAssert[setting.Secret](target)
		b.mismatch(v, n, path, "a text", textHint(v, path, secret))
		return
	}
	message := fmt.Sprintf("%s = %s: a bare number is not a %s", lastName(path), number, what)
	if f, ok := v.(float64); ok && unit == "%" && f <= 1 {
		number = numberText(f * 100)
	}
	b.problem(n, path, message, fmt.Sprintf("write %q", number+unit))
}

// listed binds one text or a list of them. Each is tried alone first, so that the wrong one can be pointed at.
func (b *binding) listed(v any, n *node, target reflect.Value, into setting.Listed, path []string) {
	values, isList := v.([]any)
	if !isList {
		values = []any{v}
	}
	list, secret := into.(*setting.SecretList)
	if secret {
		if values, ok := withTables(v); ok {
			b.secretList(values, n, list, path)
			return
		}
	}
	var texts []string
	for i, item := range values {
		place, sub := n, path
		if isList {
			place, sub = n.elem(i), at(path, strconv.Itoa(i))
		}
		if secret {
			b.hide(item, place, sub)
		}
		s, ok := item.(string)
		if !ok {
			b.mismatch(item, place, sub, "a text", textHint(item, sub, secret))
			continue
		}
		alone, _ := reflect.TypeAssert[setting.Listed](reflect.New(target.Type()))
		if err := alone.SetStrings([]string{s}); err != nil {
			b.bad(place, sub, err)
			continue
		}
		texts = append(texts, s)
	}
	if len(texts) != len(values) {
		return
	}
	if err := into.SetStrings(texts); err != nil {
		b.bad(n, path, err)
	}
}

func (b *binding) scalar(v any, n *node, target reflect.Value, path []string) {
	switch k := target.Kind(); {
	case k == reflect.String:
		if s, ok := v.(string); ok {
			target.SetString(s)
			return
		}
		b.mismatch(v, n, path, "a text", textHint(v, path, false))
	case k == reflect.Bool:
		if t, ok := v.(bool); ok {
			target.SetBool(t)
			return
		}
		b.mismatch(v, n, path, "true or false", "write true or false, without quotes")
	case target.CanInt():
		if i, ok := v.(int64); ok && !target.OverflowInt(i) {
			target.SetInt(i)
			return
		}
		b.mismatch(v, n, path, "a whole number", numberHint(v, "5"))
	case target.CanFloat():
		if f, err := strconv.ParseFloat(numberText(v), 64); err == nil {
			target.SetFloat(f)
			return
		}
		b.mismatch(v, n, path, "a number", numberHint(v, "0.5"))
	default:
		panic("config: no key may have the type " + target.Type().String())
	}
}

// hide keeps a literal secret from being shown and remembers where it stands.
func (b *binding) hide(v any, n *node, path []string) {
	s, ok := v.(string)
	if ok && (s == "" || !setting.NewSecret(s).IsLiteral()) {
		return
	}
	b.doc.secrets = append(b.doc.secrets, n.place())
	if ok {
		b.literals = append(b.literals, literal{path: path, at: n.place()})
	}
}

// stepper is an error that knows the next step.
type stepper interface {
	error
	NextStep() string
}

// bad reports a value that its type refused.
func (b *binding) bad(n *node, path []string, err error) {
	hint := setting.Hint(err)
	if step, ok := errors.AsType[stepper](err); ok && hint == "" {
		hint = step.NextStep()
	}
	message := err.Error()
	if strings.HasPrefix(message, `"`) {
		message = " = " + message
	} else {
		message = ": " + message
	}
	b.problem(n, path, lastName(path)+message, hint)
}

func (b *binding) mismatch(v any, n *node, path []string, want, hint string) {
	b.problem(n, path, fmt.Sprintf("%s is %s, not %s", b.subject(v, n, path), kindOf(v), want), hint)
}

func (b *binding) problem(n *node, path []string, message, hint string) {
	b.spoken = append(b.spoken, path)
	b.found.add(b.doc, n.place(), message, hint)
}

// subject writes "name = value", without the value when it is long or secret.
func (b *binding) subject(v any, n *node, path []string) string {
	name := lastName(path)
	for _, s := range b.doc.secrets {
		if s == n.place() {
			return name
		}
	}
	switch v.(type) {
	case string, bool, int64, float64:
		text := n.place().in(b.doc.text)
		if len(text) <= 40 && !strings.Contains(text, "\n") && !looksSecret(name) {
			return name + " = " + text
		}
	}
	return name
}

// lastName is the key that a path ends with; the number of an element of a list is no key.
func lastName(path []string) string {
	for _, name := range slices.Backward(path) {
		if _, err := strconv.Atoi(name); err != nil {
			return name
		}
	}
	return strings.Join(path, ".")
}

func kindOf(v any) string {
	switch v := v.(type) {
	case string:
		return "a text"
	case bool:
		return "true or false"
	case int64:
		return "a number"
	case float64:
		return "a number with a fraction"
	case time.Time:
		return "a date"
	case []any, []map[string]any:
		return "a list"
	case map[string]any:
		return "a table"
	default:
		return fmt.Sprint(v)
	}
}

func numberText(v any) string {
	switch v := v.(type) {
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return ""
}

// textHint writes the value as a text, unless it may be a secret.
func textHint(v any, path []string, secret bool) string {
	if secret || looksSecret(lastName(path)) {
		return referenceHint
	}
	switch t := v.(type) {
	case bool, int64, float64:
		return fmt.Sprintf("write \"%v\"", t)
	case []any:
		if len(t) == 1 {
			return textHint(t[0], path, secret)
		}
	case string:
		return fmt.Sprintf("write %q", t)
	case time.Time:
		return fmt.Sprintf("write %q", t.Format(time.RFC3339))
	}
	return `write "text"`
}

// referenceHint is how a secret is given.
const referenceHint = `write "env:NAME", "file:/path" or "cred:NAME"`

// tableHint writes a table with the value as that key which may take it.
func tableHint(v any, t reflect.Type) string {
	if s, ok := v.(string); ok && slices.Contains(keysOf(t), "kind") {
		return fmt.Sprintf("write { kind = %q }", s)
	}
	return `write { key = "value" }`
}

func numberHint(v any, example string) string {
	if s, ok := v.(string); ok {
		if _, err := strconv.ParseFloat(s, 64); err == nil {
			return "write " + s + " without quotes"
		}
	}
	return "write a number without quotes, like " + example
}

func listHint(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("write [%q]", v)
	case int64, float64:
		return "write [" + numberText(v) + "]"
	}
	return `write ["a", "b"]`
}
