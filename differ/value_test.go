package differ

import "testing"

func TestAValueKnowsItsKind(t *testing.T) {
	for raw, kind := range map[string]ValueKind{
		"": Missing, "null": Null, "true": Bool, "false": Bool, "0": Number, "-1.5e3": Number, `""`: String, "{}": Object, "[]": Array,
	} {
		v := Value{Raw: []byte(raw)}
		if v.Kind() != kind || v.Exists() != (kind != Missing) || v.IsArray() != (kind == Array) || v.IsObject() != (kind == Object) {
			t.Errorf("%q is %v", raw, v.Kind())
		}
	}
}

func TestTextIsUnescapedAndNumbersStayAsTheyAre(t *testing.T) {
	for raw, want := range map[string]string{
		``:                              "",
		`"a"`:                           "a",
		`9007199254740993`:              "9007199254740993",
		`1.10`:                          "1.10",
		`true`:                          "true",
		`"\"\\\/\b\f\n\r\t"`:            "\"\\/\b\f\n\r\t",
		`"\u00e9\u00E9é"`:               "ééé",
		`"\u2028` + "\u2028" + `<>&"`:   "\u2028\u2028<>&",
		`"\ud83d\ude00"`:                "😀",
		`"\ud83dx\ude00"`:               "\ufffdx\ufffd",
		`"\ud83d\ud83d\ude00"`:          "\ufffd😀",
		`"\u0000"`:                      "\x00",
		`"plain\u0020` + `then\nplain"`: "plain then\nplain",
	} {
		if got := (Value{Raw: []byte(raw)}).Text(); got != want {
			t.Errorf("%s gives %q, want %q", raw, got, want)
		}
	}
}

func TestOnlyExactIntegersAreIntegers(t *testing.T) {
	for raw, want := range map[string]int64{"0": 0, "-1": -1, "9007199254740993": 9007199254740993, "9223372036854775807": 9223372036854775807} {
		if n, ok := (Value{Raw: []byte(raw)}).Int(); !ok || n != want {
			t.Errorf("%s gives %d, %v", raw, n, ok)
		}
	}
	for _, raw := range []string{"", "1.0", "1e3", "12345678901234567890", `"1"`, "true", "null"} {
		if n, ok := (Value{Raw: []byte(raw)}).Int(); ok || n != 0 {
			t.Errorf("%s gives %d, %v", raw, n, ok)
		}
	}
	if !(Value{Raw: []byte("true")}).Bool() || (Value{Raw: []byte(`"true"`)}).Bool() {
		t.Error("Bool is not exactly true")
	}
}

func TestKindsHaveNamesForMessages(t *testing.T) {
	want := []string{"missing", "null", "a boolean", "a number", "a string", "an object", "an array", "unknown"}
	for k, name := range want {
		if got := ValueKind(k).String(); got != name {
			t.Errorf("%d is %q", k, got)
		}
	}
}
