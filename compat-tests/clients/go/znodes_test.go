package compat

import (
	"bytes"
	"fmt"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

func TestDataAndVersions(t *testing.T) {
	c := connect(t, shared(t), 10*time.Second)
	root := home(t, c)
	path := create(t, c, root+"/a", "one", zk.FlagPersistent)

	data, stat, err := c.Get(path)
	must(t, err)
	equal(t, "data", string(data), "one")
	equal(t, "version", stat.Version, 0)
	equal(t, "length", stat.DataLength, 3)
	equal(t, "owner", stat.EphemeralOwner, 0)
	equal(t, "mzxid of a new znode", stat.Mzxid, stat.Czxid)

	after, err := c.Set(path, []byte("three"), 0)
	must(t, err)
	equal(t, "version after set", after.Version, 1)
	equal(t, "czxid after set", after.Czxid, stat.Czxid)
	if after.Mzxid <= stat.Mzxid {
		t.Fatalf("mzxid did not rise: %d, %d", stat.Mzxid, after.Mzxid)
	}
	_, err = c.Set(path, []byte("lost"), 0)
	wantErr(t, "set with an old version", err, zk.ErrBadVersion)
	_, err = c.Set(path, nil, -1)
	must(t, err)
	data, stat, err = c.Get(path)
	must(t, err)
	equal(t, "length of emptied data", len(data), 0)
	equal(t, "version after any-version set", stat.Version, 2)

	create(t, c, path+"/child", "", zk.FlagPersistent)
	wantErr(t, "delete of a parent", c.Delete(path, -1), zk.ErrNotEmpty)
	wantErr(t, "delete with a wrong version", c.Delete(path, 7), zk.ErrBadVersion)
	must(t, c.Delete(path+"/child", 0))
	must(t, c.Delete(path, 2))
	_, _, err = c.Get(path)
	wantErr(t, "get of a deleted znode", err, zk.ErrNoNode)
	wantErr(t, "delete of a deleted znode", c.Delete(path, -1), zk.ErrNoNode)
	_, err = c.Create(root, nil, 0, zk.WorldACL(zk.PermAll))
	wantErr(t, "create of an existing znode", err, zk.ErrNodeExists)
	_, err = c.Create(root+"/no/parent", nil, 0, zk.WorldACL(zk.PermAll))
	wantErr(t, "create without a parent", err, zk.ErrNoNode)
	there, _, err := c.Exists(path)
	must(t, err)
	equal(t, "exists", there, false)
}

func TestChildrenAndParentStat(t *testing.T) {
	c := connect(t, shared(t), 10*time.Second)
	root := home(t, c)
	var wanted []string
	for i := 0; i < 100; i++ {
		name := fmt.Sprintf("child-%03d", i)
		wanted = append(wanted, name)
		create(t, c, root+"/"+name, "", zk.FlagPersistent)
	}
	must(t, c.Delete(root+"/child-000", -1))
	names, stat, err := c.Children(root)
	must(t, err)
	sort.Strings(names)
	equal(t, "names", strings.Join(names, " "), strings.Join(wanted[1:], " "))
	equal(t, "number of children", stat.NumChildren, 99)
	equal(t, "child version", stat.Cversion, 101)
	equal(t, "version", stat.Version, 0)
	if stat.Pzxid <= stat.Mzxid {
		t.Fatalf("pzxid %d is not newer than mzxid %d", stat.Pzxid, stat.Mzxid)
	}
}

func TestSequentialNames(t *testing.T) {
	c := connect(t, shared(t), 10*time.Second)
	root := home(t, c)
	equal(t, "first", create(t, c, root+"/n-", "", zk.FlagSequence), root+"/n-0000000000")
	create(t, c, root+"/plain", "", zk.FlagPersistent)
	must(t, c.Delete(root+"/plain", -1))
	equal(t, "counts every create", create(t, c, root+"/m-", "", zk.FlagEphemeralSequential), root+"/m-0000000002")

	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for i := 0; i < 50; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			path, err := c.Create(root+"/q-", nil, zk.FlagSequence, zk.WorldACL(zk.PermAll))
			mu.Lock()
			defer mu.Unlock()
			if err != nil || seen[path] {
				t.Errorf("create: %q, error %v", path, err)
			}
			seen[path] = true
		}()
	}
	wg.Wait()
	for i := 3; i < 53; i++ {
		if path := fmt.Sprintf("%s/q-%010d", root, i); !seen[path] {
			t.Errorf("%s was never given out", path)
		}
	}
}

func TestEphemerals(t *testing.T) {
	s := shared(t)
	c, other := connect(t, s, 10*time.Second), connect(t, s, 10*time.Second)
	root := home(t, c)
	path := create(t, other, root+"/e", "x", zk.FlagEphemeral)
	_, stat, gone, err := c.ExistsW(path)
	must(t, err)
	equal(t, "owner", stat.EphemeralOwner, other.SessionID())
	_, err = other.Create(path+"/child", nil, 0, zk.WorldACL(zk.PermAll))
	wantErr(t, "create under an ephemeral", err, zk.ErrNoChildrenForEphemerals)
	protected, err := other.CreateProtectedEphemeralSequential(root+"/p-", nil, zk.WorldACL(zk.PermAll))
	must(t, err)
	if !strings.HasPrefix(protected, root+"/_c_") || !strings.HasSuffix(protected, "-p-0000000001") {
		t.Fatalf("protected name %s", protected)
	}
	other.Close()
	event(t, gone, zk.EventNodeDeleted, path)
	names, _, err := c.Children(root)
	must(t, err)
	equal(t, "left after the session was closed", strings.Join(names, " "), "")
}

func TestContainerGoesAfterItsLastChild(t *testing.T) {
	c := connect(t, shared(t), 10*time.Second)
	root := home(t, c)
	path, err := c.CreateContainer(root+"/box", []byte("x"), zk.FlagContainer, zk.WorldACL(zk.PermAll))
	must(t, err)
	equal(t, "path", path, root+"/box")
	create(t, c, path+"/child", "", zk.FlagPersistent)
	_, stat, gone, err := c.ExistsW(path)
	must(t, err)
	equal(t, "owner shown for a container", stat.EphemeralOwner, 0)
	must(t, c.Delete(path+"/child", -1))
	event(t, gone, zk.EventNodeDeleted, path)
}

func TestTTLZnodeGoesWhenItIsOld(t *testing.T) {
	c := connect(t, shared(t), 10*time.Second)
	root := home(t, c)
	path, err := c.CreateTTL(root+"/ttl", []byte("x"), zk.FlagTTL, zk.WorldACL(zk.PermAll), 100*time.Millisecond)
	must(t, err)
	sequential, err := c.CreateTTL(root+"/ttl-", nil, zk.FlagPersistentSequentialWithTTL, zk.WorldACL(zk.PermAll), time.Hour)
	must(t, err)
	equal(t, "sequential path", sequential, root+"/ttl-0000000001")
	there, stat, gone, err := c.ExistsW(path)
	must(t, err)
	if there { // otherwise it is gone already, which is what this is about
		equal(t, "owner shown for a TTL znode", stat.EphemeralOwner, 0)
		event(t, gone, zk.EventNodeDeleted, path)
	}
	there, _, err = c.Exists(sequential)
	must(t, err)
	equal(t, "a TTL znode of an hour is there", there, true)
	_, err = c.CreateTTL(root+"/bad", nil, zk.FlagTTL, zk.WorldACL(zk.PermAll), -time.Second)
	wantErr(t, "negative TTL", err, zk.ErrBadArguments)
}

func TestBigData(t *testing.T) {
	c := connect(t, shared(t), 20*time.Second)
	root := home(t, c)
	big := bytes.Repeat([]byte("0123456789abcdef"), 65_000) // 1,040,000 bytes: below the frame limit of 1,048,575
	_, err := c.Create(root+"/big", big, 0, zk.WorldACL(zk.PermAll))
	must(t, err)
	data, stat, err := c.Get(root + "/big")
	must(t, err)
	if !bytes.Equal(data, big) || int(stat.DataLength) != len(big) {
		t.Fatalf("got %d bytes back, the stat says %d", len(data), stat.DataLength)
	}
}

// A frame above jute.maxbuffer costs the connection, not the session.
func TestTooBigDataClosesTheConnection(t *testing.T) {
	s := shared(t)
	c := connect(t, s, 20*time.Second)
	root := home(t, c)
	session := c.SessionID()
	_, err := c.Create(root+"/big", make([]byte, 1_048_576), 0, zk.WorldACL(zk.PermAll))
	if err == nil {
		t.Fatal("a frame above the limit was accepted")
	}
	c.await(t, zk.StateHasSession)
	equal(t, "session id", c.SessionID(), session)
	there, _, err := c.Exists(root + "/big")
	must(t, err)
	equal(t, "exists", there, false)
}

func TestMulti(t *testing.T) {
	c := connect(t, shared(t), 10*time.Second)
	root := home(t, c)
	acl := zk.WorldACL(zk.PermAll)
	replies, err := c.Multi(
		&zk.CreateRequest{Path: root + "/a", Data: []byte("1"), Acl: acl},
		&zk.CreateRequest{Path: root + "/a/s-", Acl: acl, Flags: zk.FlagSequence},
		&zk.CreateRequest{Path: root + "/b", Acl: acl, Flags: zk.FlagEphemeral},
		&zk.SetDataRequest{Path: root + "/a", Data: []byte("2"), Version: 0},
		&zk.CheckVersionRequest{Path: root + "/a", Version: 1},
		&zk.DeleteRequest{Path: root + "/b", Version: -1},
	)
	must(t, err)
	equal(t, "replies", len(replies), 6)
	equal(t, "created", replies[0].String, root+"/a")
	equal(t, "created sequential", replies[1].String, root+"/a/s-0000000000")
	equal(t, "version after set", replies[3].Stat.Version, 1)
	first, stat, err := c.Get(root + "/a")
	must(t, err)
	equal(t, "data", string(first), "2")
	_, child, err := c.Exists(root + "/a/s-0000000000")
	must(t, err)
	equal(t, "one zxid for the whole multi", child.Czxid, stat.Mzxid)

	replies, err = c.Multi(
		&zk.SetDataRequest{Path: root + "/a", Data: []byte("3"), Version: -1},
		&zk.CreateRequest{Path: root + "/c", Acl: acl},
		&zk.DeleteRequest{Path: root + "/missing", Version: -1},
		&zk.CreateRequest{Path: root + "/d", Acl: acl},
	)
	wantErr(t, "multi with a failing operation", err, zk.ErrNoNode)
	equal(t, "replies of the failed multi", len(replies), 4)
	equal(t, "before the failing one", replies[0].Error, nil)
	equal(t, "before the failing one", replies[1].Error, nil)
	equal(t, "the failing one", replies[2].Error, zk.ErrNoNode)
	if replies[3].Error == nil {
		t.Fatal("the operation after the failing one has no error")
	}
	data, stat, err := c.Get(root + "/a")
	must(t, err)
	equal(t, "data after the failed multi", string(data), "2")
	equal(t, "version after the failed multi", stat.Version, 1)
	for _, name := range []string{"/b", "/c", "/d"} {
		there, _, err := c.Exists(root + name)
		must(t, err)
		equal(t, name+" exists", there, false)
	}
}

func TestACLs(t *testing.T) {
	s := shared(t)
	owner, stranger := connect(t, s, 10*time.Second), connect(t, s, 10*time.Second)
	root := home(t, owner)
	must(t, owner.AddAuth("digest", []byte("ann:secret")))

	_, err := owner.Create(root+"/digest", []byte("x"), 0, zk.DigestACL(zk.PermAll, "ann", "secret"))
	must(t, err)
	_, err = owner.Create(root+"/auth", []byte("x"), 0, zk.AuthACL(zk.PermRead|zk.PermAdmin))
	must(t, err)
	acl, stat, err := owner.GetACL(root + "/auth")
	must(t, err)
	equal(t, "number of ACLs", len(acl), 1)
	equal(t, "the scheme auth becomes the identity", acl[0], zk.DigestACL(zk.PermRead|zk.PermAdmin, "ann", "secret")[0])
	equal(t, "ACL version", stat.Aversion, 0)
	_, err = stranger.Create(root+"/auth2", nil, 0, zk.AuthACL(zk.PermAll))
	wantErr(t, "auth ACL without an identity", err, zk.ErrInvalidACL)

	_, _, err = stranger.Get(root + "/digest")
	wantErr(t, "get by a stranger", err, zk.ErrNoAuth)
	_, err = stranger.Set(root+"/digest", nil, -1)
	wantErr(t, "set by a stranger", err, zk.ErrNoAuth)
	_, err = stranger.Create(root+"/digest/child", nil, 0, zk.WorldACL(zk.PermAll))
	wantErr(t, "create by a stranger", err, zk.ErrNoAuth)
	_, err = owner.Set(root+"/auth", nil, -1)
	wantErr(t, "set without write permission", err, zk.ErrNoAuth)

	must(t, stranger.AddAuth("digest", []byte("ann:wrong")))
	_, _, err = stranger.Get(root + "/digest")
	wantErr(t, "get with a wrong password", err, zk.ErrNoAuth)
	must(t, stranger.AddAuth("digest", []byte("ann:secret")))
	_, _, err = stranger.Get(root + "/digest")
	must(t, err)

	both := append(zk.DigestACL(zk.PermAdmin, "ann", "secret"), zk.WorldACL(zk.PermRead)...)
	_, err = owner.Create(root+"/masked", nil, 0, both)
	must(t, err)
	acl, _, err = connect(t, s, 10*time.Second).GetACL(root + "/masked")
	must(t, err)
	equal(t, "digest shown to one who may only read", acl[0].ID, "ann:x")

	stat, err = owner.SetACL(root+"/digest", zk.WorldACL(zk.PermRead|zk.PermAdmin), 0)
	must(t, err)
	equal(t, "ACL version after setACL", stat.Aversion, 1)
	equal(t, "data version after setACL", stat.Version, 0)
	_, err = owner.SetACL(root+"/digest", zk.WorldACL(zk.PermAll), 0)
	wantErr(t, "setACL with an old version", err, zk.ErrBadVersion)
	_, err = owner.Set(root+"/digest", nil, -1)
	wantErr(t, "set after write was taken away", err, zk.ErrNoAuth)

	_, err = owner.Create(root+"/ip", []byte("x"), 0, []zk.ACL{{Perms: zk.PermAll, Scheme: "ip", ID: "127.0.0.0/8"}})
	must(t, err)
	_, _, err = stranger.Get(root + "/ip")
	must(t, err)
	_, err = owner.Create(root+"/far", []byte("x"), 0, []zk.ACL{{Perms: zk.PermAll, Scheme: "ip", ID: "10.1.2.3"}})
	must(t, err)
	_, _, err = owner.Get(root + "/far")
	wantErr(t, "get from another address", err, zk.ErrNoAuth)
	_, err = owner.Create(root+"/odd", nil, 0, []zk.ACL{{Perms: zk.PermAll, Scheme: "nosuch", ID: "x"}})
	wantErr(t, "unknown ACL scheme", err, zk.ErrInvalidACL)
	_, err = owner.Create(root+"/none", nil, 0, nil)
	wantErr(t, "no ACL", err, zk.ErrInvalidACL)
}

func TestManyRequestsInFlight(t *testing.T) {
	c := connect(t, shared(t), 20*time.Second)
	root := home(t, c)
	var wg sync.WaitGroup
	for i := 0; i < 64; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			path := fmt.Sprintf("%s/%d", root, i)
			if _, err := c.Create(path, nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
				t.Errorf("create %s: %v", path, err)
				return
			}
			for version := int32(0); version < 20; version++ {
				value := []byte(fmt.Sprint(i, version))
				if _, err := c.Set(path, value, version); err != nil {
					t.Errorf("set %s: %v", path, err)
				}
				if data, stat, err := c.Get(path); err != nil || !bytes.Equal(data, value) || stat.Version != version+1 {
					t.Errorf("get %s: %q, error %v", path, data, err)
				}
			}
		}(i)
	}
	wg.Wait()
}

func TestFourLetterWords(t *testing.T) {
	s := shared(t)
	c := connect(t, s, 10*time.Second)
	equal(t, "ruok", zk.FLWRuok([]string{s.addr}, 5*time.Second)[0], true)
	for word, wanted := range map[string]string{
		"srvr": "Mode: standalone\n",
		"isro": "rw",
		"cons": fmt.Sprintf("sid=0x%x,", c.SessionID()),
		"dump": fmt.Sprintf("0x%x", c.SessionID()),
		"mntr": "zk_server_state\tstandalone\n",
	} {
		if text := s.word(word); !strings.Contains(text, wanted) {
			t.Errorf("%s: no %q in %q", word, wanted, text)
		}
	}
}
