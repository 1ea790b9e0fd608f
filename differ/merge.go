package differ

import "fmt"

// Merge appends to dst the members of base with those of over, both JSON objects: a member of over stands in the place of
// base's own of that name, the others follow in their order. Names and values are copied byte for byte. Of several members
// of one name in over, the first counts, as everywhere here.
func Merge(dst, base, over []byte) ([]byte, error) {
	for _, object := range [][]byte{base, over} {
		if kind := (Value{Raw: object[space(object, 0):]}).Kind(); kind != Object {
			return dst, fmt.Errorf("%s has no members", kind)
		}
	}
	news := map[string][]byte{}
	eachMember(over, func(name string, _, value []byte) {
		if _, again := news[name]; !again {
			news[name] = value
		}
	})
	dst = append(dst, '{')
	start, written := len(dst), map[string]bool{}
	put := func(name string, text, value []byte) {
		if now, ok := news[name]; ok {
			if written[name] {
				return
			}
			written[name], value = true, now
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, text...), ':'), value...)
	}
	eachMember(base, put)
	eachMember(over, put)
	return append(dst, '}'), nil
}

// eachMember gives the members of an object: the unescaped name, the name as it stands, and the value.
func eachMember(object []byte, yield func(name string, text, value []byte)) {
	for i := space(object, space(object, 0)+1); i < len(object) && object[i] == '"'; {
		quote := skipString(object, i+1)
		begin := afterColon(object, quote)
		end := skip(object, begin)
		text := object[i:quote]
		yield(Value{Raw: text}.Text(), text, object[begin:end])
		i = next(object, end)
	}
}
