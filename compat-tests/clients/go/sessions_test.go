package compat

import (
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

func TestWatches(t *testing.T) {
	s := shared(t)
	c, other := connect(t, s, 10*time.Second), connect(t, s, 10*time.Second)
	root := home(t, c)
	path := root + "/a"

	_, _, created, err := c.ExistsW(path)
	must(t, err)
	_, _, children, err := c.ChildrenW(root)
	must(t, err)
	create(t, other, path, "1", zk.FlagPersistent)
	event(t, created, zk.EventNodeCreated, path)
	event(t, children, zk.EventNodeChildrenChanged, root)

	_, _, changed, err := c.GetW(path)
	must(t, err)
	_, _, children, err = c.ChildrenW(root)
	must(t, err)
	_, err = other.Set(path, []byte("2"), -1)
	must(t, err)
	event(t, changed, zk.EventNodeDataChanged, path)
	silent(t, c, children)

	// A watch fires once.
	_, _, changed, err = c.GetW(path)
	must(t, err)
	_, err = other.Set(path, []byte("3"), -1)
	must(t, err)
	_, err = other.Set(path, []byte("4"), -1)
	must(t, err)
	event(t, changed, zk.EventNodeDataChanged, path)
	silent(t, c, children)
	data, _, changed, err := c.GetW(path)
	must(t, err)
	equal(t, "data after the event", string(data), "4")

	_, _, inside, err := c.ChildrenW(path)
	must(t, err)
	must(t, other.Delete(path, -1))
	event(t, changed, zk.EventNodeDeleted, path)
	event(t, inside, zk.EventNodeDeleted, path)
	event(t, children, zk.EventNodeChildrenChanged, root)
}

// contend lets several sessions add to a counter that only the lock protects.
func contend(t *testing.T, s *server, root string, sessions, rounds int) {
	t.Helper()
	c := connect(t, s, 20*time.Second)
	create(t, c, root+"/counter", "0", zk.FlagPersistent)
	create(t, c, root+"/lock", "", zk.FlagPersistent)
	var wg sync.WaitGroup
	for i := 0; i < sessions; i++ {
		member := connect(t, s, 20*time.Second)
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := 0; j < rounds; j++ {
				lock := zk.NewLock(member.Conn, root+"/lock", zk.WorldACL(zk.PermAll))
				if err := lock.Lock(); err != nil {
					t.Errorf("lock: %v", err)
					return
				}
				data, _, err := member.Get(root + "/counter")
				n, _ := strconv.Atoi(string(data))
				if err == nil {
					_, err = member.Set(root+"/counter", []byte(strconv.Itoa(n+1)), -1)
				}
				if err != nil {
					t.Errorf("inside the lock: %v", err)
				}
				if err := lock.Unlock(); err != nil {
					t.Errorf("unlock: %v", err)
				}
			}
		}()
	}
	wg.Wait()
	data, _, err := c.Get(root + "/counter")
	must(t, err)
	equal(t, "counter", string(data), strconv.Itoa(sessions*rounds))
}

func TestLocksExcludeEachOther(t *testing.T) {
	s := shared(t)
	c := connect(t, s, 10*time.Second)
	contend(t, s, home(t, c), 8, 20)
}

func TestLockPassesOnWhenItsHolderExpires(t *testing.T) {
	s := shared(t)
	holder, waiter := connect(t, s, 2*time.Second), connect(t, s, 10*time.Second)
	root := home(t, waiter)
	held := zk.NewLock(holder.Conn, root, zk.WorldACL(zk.PermAll))
	must(t, held.Lock())
	acquired := make(chan error, 1)
	go func() { acquired <- zk.NewLock(waiter.Conn, root, zk.WorldACL(zk.PermAll)).Lock() }()
	// The waiter is in line before the holder goes silent.
	for {
		names, _, err := waiter.Children(root)
		must(t, err)
		if len(names) == 2 {
			break
		}
	}
	holder.gate.set(true)
	select {
	case err := <-acquired:
		must(t, err)
	case <-time.After(patience):
		t.Fatal("the lock was not passed on")
	}
}

func TestExpiredSession(t *testing.T) {
	s := shared(t)
	c, other := connect(t, s, 2*time.Second), connect(t, s, 10*time.Second)
	root := home(t, other)
	session := c.SessionID()
	path := create(t, c, root+"/e", "", zk.FlagEphemeral)
	_, _, gone, err := other.ExistsW(path)
	must(t, err)
	c.gate.set(true)
	event(t, gone, zk.EventNodeDeleted, path)
	c.gate.set(false)
	c.await(t, zk.StateExpired)
	c.await(t, zk.StateHasSession)
	if c.SessionID() == session {
		t.Fatal("an expired session was resumed")
	}
	create(t, c, root+"/again", "", zk.FlagEphemeral)
}

// A connection that breaks costs nothing: same session, watches included, and what was missed is told.
func TestReconnectTellsWhatWasMissed(t *testing.T) {
	s := shared(t)
	c, other := connect(t, s, 20*time.Second), connect(t, s, 20*time.Second)
	root := home(t, other)
	session := c.SessionID()
	create(t, c, root+"/e", "", zk.FlagEphemeral)
	for _, name := range []string{"/changed", "/deleted", "/same"} {
		create(t, other, root+name, "1", zk.FlagPersistent)
	}
	_, _, changed, err := c.GetW(root + "/changed")
	must(t, err)
	_, _, deleted, err := c.GetW(root + "/deleted")
	must(t, err)
	_, _, same, err := c.GetW(root + "/same")
	must(t, err)
	_, _, created, err := c.ExistsW(root + "/created")
	must(t, err)
	_, _, children, err := c.ChildrenW(root)
	must(t, err)

	c.gate.set(true)
	c.await(t, zk.StateDisconnected)
	_, err = other.Set(root+"/changed", []byte("2"), -1)
	must(t, err)
	must(t, other.Delete(root+"/deleted", -1))
	create(t, other, root+"/created", "", zk.FlagPersistent)
	c.gate.set(false)
	c.await(t, zk.StateHasSession)

	event(t, changed, zk.EventNodeDataChanged, root+"/changed")
	event(t, deleted, zk.EventNodeDeleted, root+"/deleted")
	event(t, created, zk.EventNodeCreated, root+"/created")
	event(t, children, zk.EventNodeChildrenChanged, root)
	silent(t, c, same)
	_, err = other.Set(root+"/same", []byte("2"), -1)
	must(t, err)
	event(t, same, zk.EventNodeDataChanged, root+"/same")
	equal(t, "session id", c.SessionID(), session)
	there, _, err := other.Exists(root + "/e")
	must(t, err)
	equal(t, "the ephemeral is there", there, true)
}

func survivesRestart(t *testing.T, how os.Signal) {
	s := own(t)
	c, other := connect(t, s, 30*time.Second), connect(t, s, 30*time.Second)
	root := home(t, c)
	session := c.SessionID()
	must(t, c.AddAuth("digest", []byte("ann:secret")))
	_, err := c.Create(root+"/private", []byte("mine"), 0, zk.DigestACL(zk.PermAll, "ann", "secret"))
	must(t, err)
	create(t, c, root+"/lock", "", zk.FlagPersistent)
	lock := zk.NewLock(c.Conn, root+"/lock", zk.WorldACL(zk.PermAll))
	must(t, lock.Lock())
	create(t, c, root+"/e", "mine", zk.FlagEphemeral)
	stat, err := c.Set(root, []byte("before"), 0)
	must(t, err)
	_, _, changed, err := c.GetW(root)
	must(t, err)

	for round := 0; round < 3; round++ {
		s.end(how)
		c.await(t, zk.StateDisconnected)
		other.await(t, zk.StateDisconnected)
		must(t, s.start())
		c.await(t, zk.StateHasSession)
		other.await(t, zk.StateHasSession)
		equal(t, "session id", c.SessionID(), session)
	}

	data, after, err := c.Get(root)
	must(t, err)
	equal(t, "data", string(data), "before")
	equal(t, "stat", *after, *stat)
	_, owner, err := other.Exists(root + "/e")
	must(t, err)
	equal(t, "owner of the ephemeral", owner.EphemeralOwner, session)
	data, _, err = c.Get(root + "/private")
	must(t, err)
	equal(t, "the identity is sent again", string(data), "mine")
	_, _, err = other.Get(root + "/private")
	wantErr(t, "ACLs outlive a restart", err, zk.ErrNoAuth)

	silent(t, c, changed)
	_, err = other.Set(root, []byte("after"), 1)
	must(t, err)
	event(t, changed, zk.EventNodeDataChanged, root)

	acquired := make(chan error, 1)
	go func() { acquired <- zk.NewLock(other.Conn, root+"/lock", zk.WorldACL(zk.PermAll)).Lock() }()
	for {
		names, _, err := c.Children(root + "/lock")
		must(t, err)
		if len(names) == 2 {
			break
		}
	}
	select {
	case err := <-acquired:
		t.Fatalf("the lock was not held any more (error %v)", err)
	default:
	}
	must(t, lock.Unlock())
	must(t, <-acquired)

	equal(t, "sequence goes on", create(t, c, root+"/s-", "", zk.FlagSequence), root+"/s-0000000003")
}

func TestSessionSurvivesCleanRestart(t *testing.T) { survivesRestart(t, syscall.SIGTERM) }
func TestSessionSurvivesSIGKILL(t *testing.T)      { survivesRestart(t, syscall.SIGKILL) }

func TestSessionThatEndedDuringARestartIsGone(t *testing.T) {
	s := own(t)
	c, other := connect(t, s, 2*time.Second), connect(t, s, 30*time.Second)
	root := home(t, other)
	path := create(t, c, root+"/e", "", zk.FlagEphemeral)
	c.gate.set(true)
	s.end(syscall.SIGKILL)
	other.await(t, zk.StateDisconnected)
	must(t, s.start())
	other.await(t, zk.StateHasSession)
	there, _, gone, err := other.ExistsW(path)
	must(t, err)
	if there {
		event(t, gone, zk.EventNodeDeleted, path)
	}
	c.gate.set(false)
	c.await(t, zk.StateExpired)
}
