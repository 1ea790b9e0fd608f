package differ_test

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/deltahook/deltahook/differ"
)

// An answer is read record by record; what a record is known by is its key.
func ExampleReader() {
	spec := differ.Spec{Records: differ.MustPath("data.items"), Key: differ.Paths{differ.MustPath("id")}}
	answer := strings.NewReader(`{"data":{"items":[{"id":9007199254740993,"price":1.10},{"id":"b"}]},"next":"/p2"}`)
	reader := differ.NewReader(answer, differ.Options{Spec: spec})
	for {
		record, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		key, err := spec.KeyOf(record)
		fmt.Println(key, string(record.Raw), err)
	}
	fmt.Println(differ.MustPath("next").Get(reader.Envelope()).Text())
	// Output:
	// 9007199254740993 {"id":9007199254740993,"price":1.10} <nil>
	// b {"id":"b"} <nil>
	// /p2
}

func ExampleShape_Diff() {
	spec := differ.Spec{Ignore: []differ.Path{differ.MustPath("seen_at")}}
	shape, err := spec.Compile()
	if err != nil {
		fmt.Println(err)
		return
	}
	delta, err := shape.Diff(
		[]byte(`{"status":"new","owner":{"name":"Ann","id":7},"seen_at":1}`),
		[]byte(`{"seen_at":2,"owner":{"id":7,"name":"Bob"},"status":"open"}`),
	)
	fmt.Println(delta.Changed, string(delta.Previous), err)
	// Output:
	// [owner.name status] {"status":"new","owner.name":"Ann"} <nil>
}

func ExampleCondition_Match() {
	open, err := differ.ParseCondition(`status == "open"`)
	fmt.Println(open.Match([]byte(`{"status":"open"}`)), err)
	_, err = differ.ParseCondition(`status = open`)
	fmt.Println(err)
	// Output:
	// true <nil>
	// the condition "status = open" has the operator =, which does not exist
}
