package store

import (
	"slices"
	"strings"
	"time"
)

// Sight is who is alive and who owns what, as of one moment of the store's clock.
type Sight struct {
	Peers  []Peer         // who is alive, by ID
	Owners [Shards]string // ID of the living member that owns the shard; empty: nobody does
	// Stirred grows for a shard when somebody else than its owner has changed its deliveries.
	Stirred [Shards]int64
}

// Peer is a living member, as the others see it.
type Peer struct {
	ID      string
	Started time.Time
	Info    Info
}

// Info is what a member says of itself.
type Info struct {
	// Works says that the member wants its share of the shards. One that does not is a command, or about to leave.
	Works bool `json:"works,omitempty"`

	Version  string            `json:"version,omitempty"`  // of the program
	Config   string            `json:"config,omitempty"`   // the version of its configuration; see config.Version
	Parts    map[string]string `json:"parts,omitempty"`    // of it
	Loaded   time.Time         `json:"loaded,omitzero"`    // since when it is in force
	Rejected string            `json:"rejected,omitempty"` // what is wrong with its files
}

// Name gives the name of a member without its incarnation, by its ID.
func Name(id string) string {
	name, _, _ := strings.Cut(id, "#")
	return name
}

// Alive says whether a member is.
func (s *Sight) Alive(id string) bool {
	return slices.ContainsFunc(s.Peers, func(p Peer) bool { return p.ID == id })
}

// Working lists the IDs of the members that want their share.
func (s *Sight) Working() []string {
	var ids []string
	for _, p := range s.Peers {
		if p.Info.Works {
			ids = append(ids, p.ID)
		}
	}
	return ids
}
