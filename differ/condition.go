package differ

import (
	"fmt"
	"strings"
	"unique"
)

// Condition is a checked condition on a JSON value, for example `status == "open"`. The zero value never holds. Two conditions
// are equal (==) when they are spelled alike.
//
// It is a gjson path alone, which holds when the value there is true-ish (not false, null, 0, "" nor missing), or
// a path, an operator and a value:
//
//	==  !=           equal and not equal
//	<  <=  >  >=     by number when both sides are numbers, else by the bytes of the text
//	%  !%            like and not like a pattern with * (any characters) and ? (one character)
//
// The value is a JSON string, a number, true, false, null or bare text, which is a string. Numbers are compared exactly, as decimals of
// any length: 9007199254740993 is not 9007199254740992, and 1.10 equals 1.1. A string that holds a number is one when it is
// compared with a number: "10" > 9 holds. A null equals null and a missing value, and nothing else does. The negated operators hold
// exactly when the plain ones do not, so also for a missing value. No other operator holds for a missing value, an
// object or an array.
//
// What a condition is is kept once, however many sources have it.
type Condition struct{ of unique.Handle[condition] }

// condition is what a Condition is.
type condition struct {
	text  string
	path  Path
	op    operator
	value operand
}

func makeCondition(c condition) Condition { return Condition{unique.Make(c)} }

// is gives what the condition is; the zero condition is nothing.
func (c Condition) is() condition {
	if c == (Condition{}) {
		return condition{}
	}
	return c.of.Value()
}

type operator uint8

const (
	truthy operator = iota
	equals
	unequal
	less
	lessOrEqual
	greater
	greaterOrEqual
	like
	notLike
)

// operand is one side of a comparison.
type operand struct {
	text string
	kind ValueKind
}

// ConditionError says why a text is not a condition.
type ConditionError struct {
	Condition string
	Problem   string // a lower-case clause after "the condition …"
	Suggest   string // the spelling that was probably meant; empty when there is no guess
}

// Error names the condition and what is wrong with it.
func (e *ConditionError) Error() string {
	return fmt.Sprintf("the condition %q %s", e.Condition, e.Problem)
}

// NextStep gives the spelling that was probably meant.
func (e *ConditionError) NextStep() string {
	if e.Suggest == "" {
		return "write a path, an operator (== != < <= > >= % !%) and a value, like: status == \"open\""
	}
	return "write " + e.Suggest
}

// ParseCondition reads a condition. The error is a *ConditionError, or a *PathError when the path is wrong.
func ParseCondition(text string) (Condition, error) {
	if strings.HasPrefix(text, "!") {
		return Condition{}, &ConditionError{Condition: text, Problem: "begins with !", Suggest: text[1:] + " != true"}
	}
	at, sign := findOperator(text)
	left, right := strings.TrimSpace(text[:at]), strings.TrimSpace(text[at+len(sign):])
	if left == "" {
		return Condition{}, &ConditionError{Condition: text, Problem: "has no path"}
	}
	path, err := ParsePath(left)
	if err != nil {
		return Condition{}, err
	}
	c := condition{text: text, path: path}
	if sign == "" {
		return makeCondition(c), nil
	}
	var problem string
	if c.op, problem = operatorOf(sign); problem != "" {
		return Condition{}, &ConditionError{Condition: text, Problem: problem, Suggest: suggestOperator(left, sign, right)}
	}
	if c.value, problem = parseOperand(right); problem == "" {
		problem = c.mismatch()
	}
	if problem != "" {
		return Condition{}, &ConditionError{Condition: text, Problem: problem}
	}
	return makeCondition(c), nil
}

// findOperator finds the first operator outside of brackets, quotes and escapes. Without one, at is the end.
func findOperator(text string) (at int, sign string) {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '\\':
			i++
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		case '"':
			if end := endOfQuoted(text, i); end > 0 && depth > 0 {
				i = end
			}
		case '=', '!', '<', '>', '%', '~':
			if depth > 0 {
				continue
			}
			end := i + 1
			for end < len(text) && strings.IndexByte("=<>%~", text[end]) >= 0 {
				end++
			}
			return i, text[i:end]
		}
	}
	return len(text), ""
}

func operatorOf(sign string) (op operator, problem string) {
	switch sign {
	case "==":
		return equals, ""
	case "!=":
		return unequal, ""
	case "<":
		return less, ""
	case "<=":
		return lessOrEqual, ""
	case ">":
		return greater, ""
	case ">=":
		return greaterOrEqual, ""
	case "%":
		return like, ""
	case "!%":
		return notLike, ""
	}
	return 0, fmt.Sprintf("has the operator %s, which does not exist", sign)
}

func suggestOperator(left, sign, right string) string {
	better := map[string]string{"=": "==", "===": "==", "!==": "!=", "<>": "!=", "=<": "<=", "=>": ">=", "=~": "%", "~": "%", "~=": "%", "!~": "!%"}[sign]
	if better == "" {
		return ""
	}
	return strings.TrimSpace(left + " " + better + " " + right)
}

// parseOperand reads the value of a condition.
func parseOperand(text string) (o operand, problem string) {
	if text == "" {
		return o, "has no value after its operator"
	}
	if text[0] == '\'' {
		return o, "has a value in single quotes; use double quotes or none"
	}
	var s scanner
	if end := s.value([]byte(text), 0, 0); end == len(text) {
		v := Value{Raw: []byte(text)}
		if v.IsObject() || v.IsArray() {
			return o, "compares with " + v.Kind().String() + "; only strings, numbers, true, false and null can be compared with"
		}
		return operand{text: v.Text(), kind: v.Kind()}, ""
	}
	switch {
	case strings.Contains(text, "&&") || strings.Contains(text, "||"):
		return o, "joins two; write each as a condition of its own"
	case text[0] == '"' || strings.ContainsAny(text, `"<>=`):
		return o, "has a value that must be written as a JSON string, in double quotes"
	case text[0] == '~':
		return o, "has a value with ~; write the path alone to ask whether it is true, or compare with null"
	}
	return operand{text: text, kind: String}, ""
}

// mismatch says why the operator makes no sense with the value.
func (c *condition) mismatch() string {
	switch c.op {
	case less, lessOrEqual, greater, greaterOrEqual:
		if c.value.kind == Null || c.value.kind == Bool {
			return "asks whether something is less or greater than " + c.value.text
		}
	case like, notLike:
		if c.value.kind == Null {
			return "has null as a pattern"
		}
	default:
	}
	return ""
}

// Path gives what the condition looks at.
func (c Condition) Path() Path { return c.is().path }

// Wants gives what the condition wants a value to be that is true or false; not ok when it is about something else.
func (c Condition) Wants() (value, ok bool) {
	is := c.is()
	switch {
	case is.op == truthy:
		return true, true
	case is.value.kind == Bool && (is.op == equals || is.op == unequal):
		return (is.value.text == "true") == (is.op == equals), true
	}
	return false, false
}

// String gives the condition as it was written.
func (c Condition) String() string { return c.is().text }

// IsZero says whether no condition was given.
func (c Condition) IsZero() bool { return c == (Condition{}) }

// UnmarshalText is ParseCondition.
func (c *Condition) UnmarshalText(text []byte) error {
	parsed, err := ParseCondition(string(text))
	if err != nil {
		return err
	}
	*c = parsed
	return nil
}

// MarshalText gives the condition as it was written.
func (c Condition) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
