package outbound

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// Egress says which addresses a delivery may go to.
type Egress uint8

// The egress policies. NoMetadata, the zero value, refuses link-local addresses and those under which clouds hand out
// credentials, in each of their IPv6 spellings; private networks are fine, because receivers live there.
const (
	NoMetadata Egress = iota
	AnyAddress
)

// ErrBlockedAddress says that the egress policy refused an address.
var ErrBlockedAddress = errors.New("the address is not allowed")

// control runs after name resolution, for each address that is about to be dialed: a name that is re-bound to another
// address does not get around it.
func (e Egress) control(_, address string, _ syscall.RawConn) error {
	if e == AnyAddress {
		return nil
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s is not an IP address", ErrBlockedAddress, address)
	}
	ip := embedded(ap.Addr().Unmap().WithZone(""))
	for _, p := range metadataAddresses() {
		if p.Contains(ip) {
			return fmt.Errorf("%w: %s is a link-local or metadata address", ErrBlockedAddress, ap.Addr())
		}
	}
	return nil
}

// embedded gives the IPv4 address inside NAT64 (RFC 6052), 6to4 (RFC 3056) and IPv4-compatible addresses, and ip itself otherwise.
func embedded(ip netip.Addr) netip.Addr {
	if !ip.Is6() {
		return ip
	}
	b := ip.As16()
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(ip):
		return netip.AddrFrom4([4]byte(b[12:16]))
	case netip.MustParsePrefix("2002::/16").Contains(ip):
		return netip.AddrFrom4([4]byte(b[2:6]))
	case netip.MustParsePrefix("::/96").Contains(ip) && !ip.IsLoopback() && !ip.IsUnspecified():
		return netip.AddrFrom4([4]byte(b[12:16]))
	}
	return ip
}

func metadataAddresses() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("169.254.0.0/16"),     // link-local; AWS, GCP, Azure, Oracle and others
		netip.MustParsePrefix("fe80::/10"),          // link-local
		netip.MustParsePrefix("fd00:ec2::254/128"),  // AWS
		netip.MustParsePrefix("fd20:ce::254/128"),   // GCP
		netip.MustParsePrefix("100.100.100.200/32"), // Alibaba
		netip.MustParsePrefix("192.0.0.192/32"),     // Oracle
		netip.MustParsePrefix("168.63.129.16/32"),   // Azure
	}
}
