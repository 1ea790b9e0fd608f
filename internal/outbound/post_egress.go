package outbound

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"github.com/deltahook/deltahook/internal/setting"
)

// Egress says which addresses a delivery may go to. The zero value is NoMetadata.
type Egress struct {
	Policy string         // one of the policies; empty: NoMetadata
	Allow  []netip.Prefix // these may be reached whatever the policy says
}

// The egress policies, values of the key egress.
const (
	// NoMetadata refuses link-local addresses and those under which clouds hand out credentials, in each of their IPv6 spellings;
	// private networks are fine, because receivers live there.
	NoMetadata = "no_metadata"
	// AnyAddress refuses none.
	AnyAddress = "any"
	// PublicOnly refuses whatever is not for use on the internet: loopback, private, shared, link-local, documentation, multicast and others.
	PublicOnly = "public_only"
)

// EgressPolicies lists the values of the key egress.
func EgressPolicies() []string { return []string{NoMetadata, AnyAddress, PublicOnly} }

// ParseEgress makes a policy of what is written: networks in CIDR notation, or addresses.
func ParseEgress(policy string, allow []string) (Egress, error) {
	e := Egress{Policy: policy}
	if policy != "" && !slices.Contains(EgressPolicies(), policy) {
		return e, &setting.HintedError{
			Message: fmt.Sprintf("unknown egress %q", policy), Hint: `write one of "` + strings.Join(EgressPolicies(), `", "`) + `"`,
		}
	}
	for _, text := range allow {
		prefix, err := netip.ParsePrefix(text)
		if ip, isIP := netip.ParseAddr(text); isIP == nil {
			prefix, err = ip.Prefix(ip.BitLen())
		}
		if err != nil {
			return e, &setting.HintedError{Message: fmt.Sprintf("%q is not a network", text), Hint: `write "10.2.0.0/16", or one address`}
		}
		e.Allow = append(e.Allow, prefix.Masked())
	}
	return e, nil
}

// ErrBlockedAddress says that the egress policy refused an address.
var ErrBlockedAddress = errors.New("the address is not allowed")

// control runs after name resolution, for each address that is about to be dialed: a name that is re-bound to another
// address does not get around it.
func (e Egress) control(_, address string, _ syscall.RawConn) error {
	if e.Policy == AnyAddress {
		return nil
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s is not an IP address", ErrBlockedAddress, address)
	}
	return e.Check(ap.Addr())
}

// Check says whether an address may be reached; the error wraps ErrBlockedAddress.
func (e Egress) Check(ip netip.Addr) error {
	plain := ip.Unmap().WithZone("")
	real := embedded(plain)
	switch allowed := within(e.Allow, plain) || within(e.Allow, real); {
	case e.Policy == AnyAddress || allowed:
		return nil
	case within(metadataAddresses(), real):
		return fmt.Errorf("%w: %s is a link-local or metadata address", ErrBlockedAddress, ip)
	case e.Policy == PublicOnly && !public(plain):
		return fmt.Errorf("%w: %s is not a public address, and egress is %q", ErrBlockedAddress, ip, PublicOnly)
	}
	return nil
}

func within(list []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// embedded gives the IPv4 address inside NAT64 (RFC 6052), 6to4 (RFC 3056) and IPv4-compatible addresses, and ip itself otherwise.
func embedded(ip netip.Addr) netip.Addr {
	if !ip.Is6() {
		return ip
	}
	b := ip.As16()
	switch {
	case nat64().Contains(ip):
		return netip.AddrFrom4([4]byte(b[12:16]))
	case netip.MustParsePrefix("2002::/16").Contains(ip):
		return netip.AddrFrom4([4]byte(b[2:6]))
	case netip.MustParsePrefix("::/96").Contains(ip) && !ip.IsLoopback() && !ip.IsUnspecified():
		return netip.AddrFrom4([4]byte(b[12:16]))
	}
	return ip
}

// nat64 is how a host that has IPv6 only reaches IPv4: such an address is as public as the one in it.
func nat64() netip.Prefix { return netip.MustParsePrefix("64:ff9b::/96") }

// public says whether an address is for use on the internet.
func public(ip netip.Addr) bool {
	switch {
	case ip.Is4():
		return !within(special4(), ip)
	case nat64().Contains(ip):
		return public(embedded(ip))
	}
	return netip.MustParsePrefix("2000::/3").Contains(ip) && !within(special6(), ip)
}

func prefixes(list ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(list))
	for i, text := range list {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}

func metadataAddresses() []netip.Prefix {
	return prefixes(
		"169.254.0.0/16",     // link-local; AWS, GCP, Azure, Oracle and others
		"fe80::/10",          // link-local
		"fd00:ec2::254/128",  // AWS
		"fd20:ce::254/128",   // GCP
		"100.100.100.200/32", // Alibaba
		"192.0.0.192/32",     // Oracle
		"168.63.129.16/32",   // Azure
	)
}

// special4 is the registry of special-purpose IPv4 addresses of IANA, and multicast.
func special4() []netip.Prefix {
	return prefixes(
		"0.0.0.0/8",       // this network
		"10.0.0.0/8",      // private
		"100.64.0.0/10",   // shared, behind the NAT of a carrier
		"127.0.0.0/8",     // loopback
		"169.254.0.0/16",  // link-local
		"172.16.0.0/12",   // private
		"192.0.0.0/24",    // protocol assignments
		"192.0.2.0/24",    // documentation
		"192.31.196.0/24", // AS112
		"192.52.193.0/24", // AMT
		"192.88.99.0/24",  // relays of 6to4
		"192.168.0.0/16",  // private
		"192.175.48.0/24", // AS112
		"198.18.0.0/15",   // benchmarks
		"198.51.100.0/24", // documentation
		"203.0.113.0/24",  // documentation
		"224.0.0.0/4",     // multicast
		"240.0.0.0/4",     // reserved, broadcast
	)
}

// special6 is what the registry of special-purpose IPv6 addresses has inside of the global unicast space 2000::/3.
func special6() []netip.Prefix {
	return prefixes(
		"2001::/23",         // protocol assignments, Teredo
		"2001:db8::/32",     // documentation
		"2002::/16",         // 6to4, which hides any IPv4 address
		"2620:4f:8000::/48", // AS112
		"3fff::/20",         // documentation
	)
}
