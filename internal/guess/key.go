package guess

import (
	"fmt"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/differ"
)

// Scores of names. What is below fair says nothing about identity.
const (
	certain = 70 // an id
	fair    = 25 // a name
)

const (
	idNames   = "id uuid guid uid oid pk gid identifier primarykey"
	codeNames = "href dn number nr no num nummer code sku ref reference serial isbn ean barcode slug handle key hash infohash"
	wordNames = "self url uri link path file filename"
	hostNames = "email mail login username user host hostname domain mac ip address"
	// Inside of these a name is unique.
	scopeNames = "vhost virtualhost namespace tenant realm database schema site cluster"
	neverKeys  = "etag checksum md5 sha1 sha256 signature token cursor version revision rev seq position index rank order sort score count total amount price quantity qty size " +
		"description comment message note notes text body content status state type kind class level enabled active timestamp time date weight length uptime age"
)

// keyScore says how much a name sounds like that of a key.
func keyScore(f *field, list string) int {
	raw, parents := f.name(), f.names[:len(f.names)-1]
	if raw == "#text" && len(parents) > 0 { // of an element that has attributes, too
		raw, parents = parents[len(parents)-1], parents[:len(parents)-1]
	}
	name := plain(raw)
	parts := words(raw)
	last := ""
	if len(parts) > 0 {
		last = parts[len(parts)-1]
	}
	score := 8
	switch {
	case in(name, neverKeys), in(last, "at etag time date count total"):
		return 0
	case in(name, scopeNames):
		return fair
	case in(name, idNames):
		score = 100
	case list != "" && name == singular(list)+"id":
		score = 95
	case name == "key":
		score = 85
	case in(last, "uuid guid"):
		score = 80
	case in(last, "id"):
		score = certain
	case in(name, codeNames), in(last, "number nr no code sku ref key"), strings.HasSuffix(name, "nummer"):
		score = 55
	case in(name, wordNames):
		score = 45
	case in(name, hostNames):
		score = 42
	case in(name, "name title label displayname fullname"):
		score = 35
	case in(last, "name") || strings.HasSuffix(name, "name"):
		score = 30
	}
	for _, parent := range parents {
		if !in(plain(parent), "metadata attributes properties node source fields") && (name != "href" || !in(plain(parent), "links self")) {
			score -= 15
		}
	}
	return max(score, 1)
}

// candidate is a field that may be the key or a part of it.
type candidate struct {
	*field
	score int
}

func (g *Guess) candidates(fields []*field) []candidate {
	list := ""
	if n := len(g.list.names); n > 0 {
		list = plain(g.list.names[n-1])
	}
	n := min(len(g.list.records), mostRecords)
	const longest = 256
	var out []candidate
	for _, f := range fields {
		if !f.everywhere(n) || f.kinds[differ.Bool] > 0 || f.dates == n || f.points > 0 || f.length > longest*n {
			continue
		}
		if f.kinds[differ.String] > 0 && f.kinds[differ.Number] > 0 {
			continue
		}
		if score := keyScore(f, list); score > 0 {
			out = append(out, candidate{f, score})
		}
	}
	slices.SortStableFunc(out, func(a, b candidate) int { return b.score - a.score })
	return out
}

// identify finds what makes a record the same record.
func (g *Guess) identify(fields []*field) {
	records := g.list.records
	switch {
	case g.Single:
		return
	case g.list.member:
		g.Key = differ.Paths{differ.MustPath("@key")}
		g.note(AboutKey, "the name under which a record stands")
		return
	case records[0].kind != differ.Object:
		g.Key = differ.Paths{differ.Self()}
		return
	}
	all := g.candidates(fields)
	single := slices.DeleteFunc(slices.Clone(all), func(c candidate) bool { return !c.unique() })
	switch {
	case len(single) > 0 && single[0].score >= fair:
		g.one(single, all)
	case g.several(all, fair), len(single) == 0 && g.several(all, 1):
	case len(single) > 0:
		g.one(single, all)
	default:
		g.everything(fields)
	}
	g.few(len(records))
}

func (g *Guess) one(unique, all []candidate) {
	best := unique[0]
	g.Key = differ.Paths{best.path}
	if best.score < certain-20 {
		for _, c := range all {
			if len(c.names) == 1 && in(plain(c.name()), scopeNames) {
				g.Key = differ.Paths{c.path, best.path}
				g.unsure(AboutKey, fmt.Sprintf("%q is unique here, but names are so only inside their %s", best.path, c.name()))
				return
			}
		}
	}
	text := fmt.Sprintf("%d of %d, unique", best.count, best.count)
	var others []string
	for _, c := range unique[1:] {
		if c.score >= fair {
			others = append(others, c.path.String())
		}
	}
	if len(others) > 0 {
		text += "; also unique: " + strings.Join(others[:min(len(others), 4)], ", ")
	}
	if best.score < certain-20 {
		g.unsure(AboutKey, text+"; it is not called like an id: names change, and may be unique only together with something else")
		return
	}
	g.note(AboutKey, text)
}

// several looks for the fewest fields that are unique together, the best names first.
func (g *Guess) several(all []candidate, least int) bool {
	const most = 10
	var parts []candidate
	for _, c := range all {
		if c.score >= least && len(c.values) > 1 && len(parts) < most {
			parts = append(parts, c)
		}
	}
	for _, size := range []int{2, 3} {
		best, score := []candidate(nil), -1
		combine(parts, size, func(chosen []candidate) {
			sum := 0
			for _, c := range chosen {
				sum += c.score
			}
			if sum > score && uniqueTogether(chosen) {
				best, score = slices.Clone(chosen), sum
			}
		})
		if best != nil {
			g.together(best)
			return true
		}
	}
	return false
}

func (g *Guess) together(parts []candidate) {
	slices.SortStableFunc(parts, func(a, b candidate) int { return a.breadth() - b.breadth() }) // from the wide to the narrow
	for _, c := range parts {
		g.Key = append(g.Key, c.path)
	}
	g.unsure(AboutKey, "no field is unique alone, these are together")
}

// breadth is small for what has many records in it.
func (c candidate) breadth() int {
	if in(plain(c.name()), scopeNames) {
		return 0
	}
	return len(c.values)
}

// combine calls f with each choice of size elements.
func combine[T any](all []T, size int, f func([]T)) {
	chosen := make([]T, 0, size)
	var pick func(from int)
	pick = func(from int) {
		if len(chosen) == size {
			f(chosen)
			return
		}
		for i := from; i < len(all); i++ {
			chosen = append(chosen, all[i])
			pick(i + 1)
			chosen = chosen[:len(chosen)-1]
		}
	}
	pick(0)
}

func uniqueTogether(parts []candidate) bool {
	seen := map[string]bool{}
	for i := range parts[0].of {
		var key strings.Builder
		for _, p := range parts {
			fmt.Fprintf(&key, "%d:%s", len(p.of[i]), p.of[i])
		}
		if seen[key.String()] {
			return false
		}
		seen[key.String()] = true
	}
	return true
}

// everything is the last resort: what a record says identifies it.
func (g *Guess) everything(fields []*field) {
	n := min(len(g.list.records), mostRecords)
	for _, f := range fields {
		if f.everywhere(n) {
			g.Key = append(g.Key, f.path)
		}
	}
	g.unsure(AboutKey, "nothing identifies a record: no field is unique, and no two or three are together. With all of them as the key a "+
		"changed record is a new one, and rows that are equal count once; ask the API for an id")
}

// few warns when chance may have made something unique.
func (g *Guess) few(n int) {
	const enough = 5
	if n < enough {
		g.unsure(AboutKey, fmt.Sprintf("only %s came: being unique among them proves little", count(n, "record")))
	}
}
