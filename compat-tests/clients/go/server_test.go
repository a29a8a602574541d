// The suite's own servers: a test that kills or restarts a server has one to itself, all others share one.
package compat

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// How long a test waits for something that has to happen. Only a broken server or client reaches it.
const patience = 60 * time.Second

type server struct {
	dir   string
	addr  string
	lines []string
	cmd   *exec.Cmd
	ended chan struct{}
}

func newServer(dir string, lines ...string) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	s := &server{dir: dir, addr: l.Addr().String(), lines: lines}
	return s, os.MkdirAll(dir, 0o755)
}

// start runs the server on its directory and returns once it serves.
func (s *server) start() error {
	_, port, _ := net.SplitHostPort(s.addr)
	s.cmd = exec.Command(os.Getenv("SERVER_COMMAND"), append([]string{s.dir, port}, s.lines...)...)
	s.cmd.Stderr = os.Stderr
	s.cmd.Env = append(os.Environ(), "JVMFLAGS="+os.Getenv("JVMFLAGS")+" -Dznode.container.checkIntervalMs=500")
	if err := s.cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	s.ended = ended
	go func() { s.cmd.Wait(); close(ended) }()
	for {
		select {
		case <-ended:
			log, _ := os.ReadFile(filepath.Join(s.dir, "server.log"))
			return fmt.Errorf("the server ended before it served:\n%s", log)
		default:
		}
		if s.word("srvr") != "" {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// word asks a four-letter word; "" if nobody answers.
func (s *server) word(word string) string {
	c, err := net.DialTimeout("tcp", s.addr, time.Second)
	if err != nil {
		return ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(c, word)
	text, err := io.ReadAll(c)
	if err != nil || !strings.Contains(string(text), "Mode:") && word == "srvr" {
		return ""
	}
	return string(text)
}

func (s *server) end(signal os.Signal) {
	s.cmd.Process.Signal(signal)
	<-s.ended
}

var (
	sharedOnce   sync.Once
	sharedServer *server
	sharedErr    error
)

func TestMain(m *testing.M) {
	status := m.Run()
	if sharedServer != nil {
		sharedServer.end(os.Kill)
	}
	os.Exit(status)
}

func shared(t *testing.T) *server {
	t.Helper()
	sharedOnce.Do(func() {
		sharedServer, sharedErr = newServer(filepath.Join(os.Getenv("WORK"), "shared"),
			"extendedTypesEnabled=true", "minSessionTimeout=1000")
		if sharedErr == nil {
			sharedErr = sharedServer.start()
		}
	})
	if sharedErr != nil {
		t.Fatal(sharedErr)
	}
	return sharedServer
}

// own is a server for this test alone.
func own(t *testing.T) *server {
	t.Helper()
	s, err := newServer(filepath.Join(os.Getenv("WORK"), t.Name()), "minSessionTimeout=1000")
	if err == nil {
		err = s.start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.end(os.Kill) })
	return s
}

// gate is a dialer that can be shut: it cuts the open connection and refuses new ones until it opens again.
type gate struct {
	mu   sync.Mutex
	shut bool
	conn net.Conn
}

func (g *gate) dial(network, address string, timeout time.Duration) (net.Conn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return nil, io.ErrClosedPipe
	}
	c, err := net.DialTimeout(network, address, timeout)
	g.conn = c
	return c, err
}

func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	if shut && g.conn != nil {
		g.conn.Close()
	}
}

type client struct {
	*zk.Conn
	gate   *gate
	states chan zk.State
}

// connect opens a session and returns once it is established.
func connect(t *testing.T, s *server, timeout time.Duration) *client {
	t.Helper()
	c := &client{gate: &gate{}, states: make(chan zk.State, 1000)}
	conn, _, err := zk.Connect([]string{s.addr}, timeout, zk.WithLogger(quiet{}), zk.WithDialer(c.gate.dial),
		zk.WithEventCallback(func(e zk.Event) {
			if e.Type == zk.EventSession {
				c.states <- e.State
			}
		}))
	if err != nil {
		t.Fatal(err)
	}
	c.Conn = conn
	t.Cleanup(conn.Close)
	c.await(t, zk.StateHasSession)
	return c
}

// await consumes session states up to the wanted one.
func (c *client) await(t *testing.T, wanted zk.State) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case state := <-c.states:
			if state == wanted {
				return
			}
		case <-deadline:
			t.Fatalf("the session never became %v", wanted)
		}
	}
}

type quiet struct{}

func (quiet) Printf(string, ...interface{}) {}

var serial struct {
	sync.Mutex
	n int
}

// home creates a fresh znode for the test and returns its path.
func home(t *testing.T, c *client) string {
	t.Helper()
	serial.Lock()
	serial.n++
	path := "/go-" + strconv.Itoa(serial.n)
	serial.Unlock()
	create(t, c, path, "", zk.FlagPersistent)
	return path
}

func create(t *testing.T, c *client, path, data string, flags int32) string {
	t.Helper()
	created, err := c.Create(path, []byte(data), flags, zk.WorldACL(zk.PermAll))
	if err != nil {
		t.Fatalf("create %s: %v", path, err)
	}
	return created
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, what string, got, wanted error) {
	t.Helper()
	if got != wanted {
		t.Fatalf("%s: got error %v, wanted %v", what, got, wanted)
	}
}

func equal[T comparable](t *testing.T, what string, got, wanted T) {
	t.Helper()
	if got != wanted {
		t.Fatalf("%s: got %v, wanted %v", what, got, wanted)
	}
}

// event waits for the one event of a watch.
func event(t *testing.T, events <-chan zk.Event, kind zk.EventType, path string) {
	t.Helper()
	select {
	case e := <-events:
		if e.Err != nil || e.Type != kind || e.Path != path {
			t.Fatalf("got event %v on %s (error %v), wanted %v on %s", e.Type, e.Path, e.Err, kind, path)
		}
	case <-time.After(patience):
		t.Fatalf("no event %v on %s", kind, path)
	}
}

// silent checks that a watch has not fired although the session has seen everything up to now.
func silent(t *testing.T, c *client, events <-chan zk.Event) {
	t.Helper()
	if _, err := c.Sync("/"); err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-events:
		t.Fatalf("unexpected event %v on %s", e.Type, e.Path)
	default:
	}
}
