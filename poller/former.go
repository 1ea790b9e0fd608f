package poller

import (
	"encoding/json"
	"slices"

	"github.com/deltahook/deltahook/differ"
)

// remind notes how records were compared and selected before the configuration changed.
func (p *Poller) remind(m *memory) {
	m.former = p.shape
	var c comparison
	if json.Unmarshal([]byte(m.state.Compare), &c) != nil {
		return
	}
	if shape := c.shape(); shape != nil {
		m.former = shape
	}
	p.reselect(m, c)
}

// recall notes how records were selected before a change since which not all of them were read.
func (p *Poller) recall(m *memory) {
	var c comparison
	if m.cursor.Former != "" && json.Unmarshal([]byte(m.cursor.Former), &c) == nil {
		p.reselect(m, c)
	}
}

func (p *Poller) reselect(m *memory, c comparison) {
	now := comparison{}
	if json.Unmarshal([]byte(p.compare), &now) != nil || slices.Equal(c.Where, now.Where) && c.Flag == now.Flag {
		return
	}
	if formerly, ok := c.selection(); ok {
		m.reselected, m.formerly, m.excluded = true, formerly, map[differ.Hash]bool{}
	}
}

// settled forgets the former configuration: what is stored is as the present one wants it.
func (m *memory) settled() {
	m.former, m.reselected, m.formerly, m.excluded = nil, false, nil, nil
}

// shape gives the shape that a stored comparison stands for; nil when it cannot be read.
func (c *comparison) shape() *differ.Shape {
	var spec differ.Spec
	for _, list := range []struct {
		texts []string
		paths *[]differ.Path
	}{{c.Fields, &spec.Fields}, {c.Ignore, &spec.Ignore}, {c.Unordered, &spec.Unordered}} {
		for _, text := range list.texts {
			path, err := differ.ParsePath(text)
			if err != nil {
				return nil
			}
			*list.paths = append(*list.paths, path)
		}
	}
	shape, err := spec.Compile()
	if err != nil {
		return nil
	}
	return shape
}

// selection gives the selection that a stored comparison stands for; false when it cannot be read.
func (c *comparison) selection() (*selection, bool) {
	sel := &selection{}
	for _, text := range c.Where {
		condition, err := differ.ParseCondition(text)
		if err != nil {
			return nil, false
		}
		sel.where = append(sel.where, condition)
	}
	if c.Flag == "" {
		return sel, true
	}
	flag, err := differ.ParseCondition(c.Flag)
	sel.flag = flag
	return sel, err == nil
}
