package redis

import (
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// topology is how the servers of a url work together.
type topology int

const (
	isSingle topology = iota
	isSentinel
	isCluster
)

// address is a Redis url, parsed.
type address struct {
	kind  topology
	tls   bool
	addrs []string // host:port, at least one; of the sentinels where there are any
	// username and password are the data servers'; the sentinels have their own.
	username, password                 string
	sentinelUsername, sentinelPassword string
	master                             string
	db                                 int
}

// forms are the urls that there are, for an error.
const forms = "redis://HOST:6379/0, redis+sentinel://HOST:26379,HOST:26379/MASTER or redis+cluster://HOST:6379,HOST:6379 (rediss… with TLS)"

// badURL never repeats the url, which may hold a password.
func badURL(format string, args ...any) error {
	return errs.New(errs.Invalid, errs.ReasonRedisURLInvalid, "the Redis url "+format, args...)
}

// errEscapes is about a password with characters that have a meaning in a url.
var errEscapes = badURL("has a user or password that is not properly escaped: write %% as %%25, ? as %%3F and @ as %%40")

// CheckURL returns Invalid for a url that Open cannot read.
func CheckURL(text string) error {
	_, err := parseURL(text)
	return err
}

// parseURL reads a url. net/url refuses several hosts with ports, so it is taken apart here.
func parseURL(text string) (address, error) {
	var u address
	scheme, rest, ok := strings.Cut(text, "://")
	plain, tls := strings.CutPrefix(scheme, "rediss")
	if !tls {
		plain, ok = strings.CutPrefix(scheme, "redis")
	}
	u.tls = tls
	kind := slices.Index([]string{"", "+sentinel", "+cluster"}, plain)
	if !ok || kind < 0 || !strings.Contains(text, "://") {
		return u, badURL("has none of the forms %s", forms)
	}
	u.kind = topology(kind)

	rest, query, _ := strings.Cut(rest, "?")
	at := strings.LastIndexByte(rest, '@')
	if at < 0 && strings.Contains(query, "@") { // what stands before it is half a password, not a host
		return u, errEscapes
	}
	if err := u.readUser(rest[:max(at, 0)]); err != nil {
		return u, err
	}
	hosts, path, _ := strings.Cut(rest[at+1:], "/")
	if err := u.readHosts(hosts); err != nil {
		return u, err
	}
	if err := u.readPath(path); err != nil {
		return u, err
	}
	return u, u.readQuery(query)
}

func (u *address) readUser(text string) error {
	name, password, _ := strings.Cut(text, ":")
	var err1, err2 error
	u.username, err1 = url.PathUnescape(name)
	u.password, err2 = url.PathUnescape(password)
	if err1 != nil || err2 != nil {
		return errEscapes
	}
	return nil
}

func (u *address) readHosts(text string) error {
	if strings.Contains(text, ",") && u.kind == isSingle {
		return badURL("names several hosts: write redis+cluster:// or redis+sentinel:// for those")
	}
	port := "6379"
	if u.kind == isSentinel {
		port = "26379"
	}
	for each := range strings.SplitSeq(text, ",") {
		host, given, err := net.SplitHostPort(each)
		if err != nil {
			host, given = strings.TrimSuffix(strings.TrimPrefix(each, "["), "]"), port
		}
		if host == "" || strings.ContainsAny(host, "[]") || strings.Contains(host, ":") && !strings.HasPrefix(each, "[") {
			return badURL("has %q where a host and a port belong: give host:port", each)
		}
		if n, err := strconv.ParseUint(given, 10, 16); err != nil || n == 0 {
			return badURL("has the port %q, which is not a number from 1 to 65535", given)
		}
		u.addrs = append(u.addrs, net.JoinHostPort(host, given))
	}
	return nil
}

func (u *address) readPath(path string) error {
	switch {
	case u.kind == isSentinel && path == "":
		return badURL("names no master: redis+sentinel://HOST:26379/MASTER")
	case u.kind == isSentinel:
		var err error
		if u.master, err = url.PathUnescape(path); err != nil || strings.Contains(path, "/") {
			return badURL("has a master's name that is not properly escaped")
		}
		return nil
	case path == "":
		return nil
	case u.kind == isCluster:
		return badURL("has a path, and a cluster has no numbered databases: leave out what follows the hosts")
	}
	return u.readDB(path)
}

func (u *address) readDB(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return badURL("has the database %q, which is not a number such as 0", text)
	}
	u.db = n
	return nil
}

func (u *address) readQuery(text string) error {
	values, err := url.ParseQuery(text)
	if err != nil {
		return badURL("has a query that is not properly escaped")
	}
	for name, given := range values {
		switch {
		case name == "db" && u.kind != isCluster:
			if err := u.readDB(given[0]); err != nil {
				return err
			}
		case name == "sentinel-user" && u.kind == isSentinel:
			u.sentinelUsername = given[0]
		case name == "sentinel-password" && u.kind == isSentinel:
			u.sentinelPassword = given[0]
		default:
			return badURL("has the parameter %q, which means nothing here", name)
		}
	}
	return nil
}

// String returns the url without user and password, for logs.
func (u address) String() string {
	s := "redis"
	if u.tls {
		s = "rediss"
	}
	s += []string{"", "+sentinel", "+cluster"}[u.kind] + "://" + strings.Join(u.addrs, ",")
	switch u.kind {
	case isSentinel:
		return s + "/" + u.master
	case isSingle:
		return s + "/" + strconv.Itoa(u.db)
	case isCluster:
	}
	return s
}
