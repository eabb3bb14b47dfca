// The client of the race of networks (tests/bench/net.sh): measures the machine
// at 10.0.3.2, and prints "row value unit" lines. HTTP is measured by wrk.
package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	host    = flag.String("host", "10.0.3.2", "the machine")
	seconds = flag.Float64("seconds", 4, "of each measurement with wrk; the others take half of it")
	idle    = flag.Int("idle", 5000, "idle connections")
	from    = flag.String("from", "", "our addresses, which idle connections take in turn: each has some 50,000 ports")
	only    = flag.String("only", "", "rows, by what their names begin with: http1 http16 http256 new echo send receive idle")
	hold    = flag.Bool("hold", false, "open the idle connections, say so, and keep them until standard input ends")
	ready   = flag.Duration("ready", 2*time.Minute, "how long to wait for the machine's first answer")
)

type row struct {
	name    string
	measure func() error
}

func main() {
	flag.Parse()
	if *hold {
		if err := keep(); err != nil {
			fmt.Println(err)
		}
		return
	}
	if *only == "floor" { // another machine, without HTTP
		if err := floor(); err != nil {
			fmt.Println("# floor failed:", err)
			os.Exit(1)
		}
		return
	}
	if err := wait(); err != nil {
		fmt.Println("# it does not answer:", err)
		os.Exit(1)
	}
	wrk("warm", 16, 1) // under emulation what runs first is translated
	failed := false
	for _, row := range []row{
		{"http1", func() error { return wrk("http1", 1, *seconds) }},
		{"http16", func() error { return wrk("http16", 16, *seconds) }},
		{"http256", func() error { return wrk("http256", 256, *seconds) }},
		{"new", func() error { return wrk("new", 16, *seconds, "-H", "Connection: close") }},
		{"echo", echo},
		{"send", send},
		{"receive", receive},
		{"idle", idleMemory},
	} {
		if *only != "" && !slices.Contains(strings.Fields(*only), row.name) {
			continue
		}
		if err := row.measure(); err != nil {
			fmt.Printf("# %s failed: %v\n", row.name, err)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

func at(port int) string { return fmt.Sprintf("%s:%d", *host, port) }

func half() time.Duration { return time.Duration(*seconds * float64(time.Second) / 2) }

func say(row string, value float64, unit string) {
	if row[:4] != "warm" {
		fmt.Printf("%s %.6g %s\n", row, value, unit)
	}
}

// wait until the machine serves.
func wait() (err error) {
	for begun := time.Now(); time.Since(begun) < *ready; time.Sleep(100 * time.Millisecond) {
		if _, err = memory(); err == nil {
			return nil
		}
	}
	return err
}

func wrk(row string, connections int, seconds float64, more ...string) error {
	arguments := append([]string{"-t1", fmt.Sprint("-c", connections), fmt.Sprintf("-d%.0fs", max(seconds, 1)),
		"--latency", "--timeout", "5s"}, more...)
	said, err := exec.Command("wrk", append(arguments, "http://"+at(8080)+"/")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("wrk: %w: %s", err, said)
	}
	found := 0
	for line := range strings.Lines(string(said)) {
		words := strings.Fields(line)
		switch {
		case len(words) == 2 && words[0] == "Requests/sec:":
			var rate float64
			fmt.Sscan(words[1], &rate)
			say(row+"_rate", rate, "1/s")
			found++
		case len(words) == 2 && (words[0] == "50%" || words[0] == "99%"):
			time, err := time.ParseDuration(words[1])
			if err != nil {
				return err
			}
			say(row+"_p"+words[0][:2], float64(time.Microseconds()), "us")
			found++
		case strings.Contains(line, "Socket errors") || strings.Contains(line, "Non-2xx"):
			fmt.Printf("# %s: %s\n", row, strings.TrimSpace(line))
		}
	}
	if found != 3 {
		return fmt.Errorf("wrk said: %s", said)
	}
	return nil
}

// echo: round trips of 64 bytes, one after the other, by blocking system calls:
// the Go scheduler of this side is not to be measured.
func echo() error {
	address := syscall.SockaddrInet4{Port: 7}
	copy(address.Addr[:], net.ParseIP(*host).To4())
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(socket)
	syscall.SetsockoptInt(socket, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	patience := syscall.Timeval{Sec: 5}
	syscall.SetsockoptTimeval(socket, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &patience)
	if err := syscall.Connect(socket, &address); err != nil {
		return err
	}
	var trips []time.Duration
	var buffer [64]byte
	for end := time.Now().Add(half()); time.Now().Before(end); {
		begun := time.Now()
		if _, err := syscall.Write(socket, buffer[:]); err != nil {
			return err
		}
		for got := 0; got < len(buffer); {
			n, err := syscall.Read(socket, buffer[got:])
			if err == syscall.EINTR {
				continue
			}
			if err != nil || n == 0 {
				return fmt.Errorf("after %d round trips: %d, %w", len(trips), n, err)
			}
			got += n
		}
		trips = append(trips, time.Since(begun))
	}
	sayTrips("echo", trips)
	return nil
}

func sayTrips(row string, trips []time.Duration) {
	slices.Sort(trips)
	micros := func(nth int) float64 { return float64(trips[nth].Nanoseconds()) / 1e3 }
	say(row+"_p50", micros(len(trips)/2), "us")
	say(row+"_p99", micros(len(trips)*99/100), "us")
}

// floor: as echo, with datagrams, which a bare loop sends back
// (kernel/examples/netfloor.rs).
func floor() error {
	address := syscall.SockaddrInet4{Port: 7}
	copy(address.Addr[:], net.ParseIP(*host).To4())
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(socket)
	patience := syscall.Timeval{Usec: 200_000}
	syscall.SetsockoptTimeval(socket, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &patience)
	if err := syscall.Connect(socket, &address); err != nil {
		return err
	}
	var buffer, answer [64]byte
	var number uint64
	trip := func() error { // answers to earlier ones may come late
		number++
		binary.LittleEndian.PutUint64(buffer[:], number)
		if _, err := syscall.Write(socket, buffer[:]); err != nil {
			return err
		}
		for {
			_, err := syscall.Read(socket, answer[:])
			if err == syscall.EINTR { // Go signals its own threads, and SO_RCVTIMEO forgoes SA_RESTART
				continue
			}
			if err != nil {
				return err
			}
			if answer == buffer {
				return nil
			}
		}
	}
	for begun := time.Now(); trip() != nil; {
		if time.Since(begun) > *ready {
			return errors.New("no answer")
		}
	}
	var trips []time.Duration
	for end := time.Now().Add(half()); time.Now().Before(end); {
		begun := time.Now()
		if err := trip(); err != nil {
			return fmt.Errorf("after %d round trips: %w", len(trips), err)
		}
		trips = append(trips, time.Since(begun))
	}
	sayTrips("floor", trips)
	return nil
}

// send: the machine sends.
func send() error {
	connection, err := net.Dial("tcp4", at(19))
	if err != nil {
		return err
	}
	defer connection.Close()
	buffer := make([]byte, 64<<10)
	begun, bytes := time.Now(), 0
	connection.SetDeadline(begun.Add(half() + 5*time.Second))
	for time.Since(begun) < half() {
		n, err := connection.Read(buffer)
		if err != nil {
			return err
		}
		bytes += n
	}
	say("send", float64(bytes)/1e6/time.Since(begun).Seconds(), "MB/s")
	return nil
}

// receive: the machine receives; it closes when it has read all.
func receive() error {
	connection, err := net.Dial("tcp4", at(9))
	if err != nil {
		return err
	}
	defer connection.Close()
	buffer := make([]byte, 64<<10)
	begun, bytes := time.Now(), 0
	connection.SetDeadline(begun.Add(half() + 10*time.Second))
	for time.Since(begun) < half() {
		n, err := connection.Write(buffer)
		if err != nil {
			return err
		}
		bytes += n
	}
	connection.(*net.TCPConn).CloseWrite()
	if _, err := connection.Read(buffer); err != io.EOF {
		return fmt.Errorf("at the end: %w", err)
	}
	say("receive", float64(bytes)/1e6/time.Since(begun).Seconds(), "MB/s")
	return nil
}

// told is all that /mem has told last.
var told = map[string]float64{}

// memory asks for what is available, in bytes.
func memory() (bytes float64, err error) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + at(8080) + "/mem")
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	clear(told)
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		var name string
		if _, err := fmt.Sscanf(lines.Text(), "%s %f", &name, &bytes); err == nil {
			told[name] = bytes
		}
	}
	if bytes, ok := told["available"]; ok {
		return bytes, nil
	}
	return 0, errors.New("/mem does not tell what is available")
}

// A process may have so many connections: descriptors are limited.
const perProcess = 10_000

// idleMemory: what a connection costs that has had a request answered, and waits.
func idleMemory() error {
	time.Sleep(time.Second) // what was before comes to rest
	before, err := memory()
	if err != nil {
		return err
	}
	toldBefore := maps.Clone(told)
	begun := time.Now()
	for left := *idle; left > 0; left -= perProcess {
		holder := exec.Command(os.Args[0], "-hold", "-host", *host, "-idle", fmt.Sprint(min(left, perProcess)), "-from", *from)
		input, err := holder.StdinPipe()
		if err != nil {
			return err
		}
		output, err := holder.StdoutPipe()
		if err != nil {
			return err
		}
		if err := holder.Start(); err != nil {
			return err
		}
		defer func() {
			input.Close()
			holder.Wait()
		}()
		if said, _ := bufio.NewReader(output).ReadString('\n'); said != "open\n" {
			return fmt.Errorf("with %d connections to go: %s", left, said)
		}
	}
	took := time.Since(begun)
	time.Sleep(time.Second)
	after, err := memory()
	if err != nil {
		return err
	}
	each := func(bytes float64) float64 { return bytes / float64(*idle) }
	say("idle_memory", each(before-after), "B")
	for name, bytes := range told {
		fmt.Printf("# idle: %s %.0f B each\n", name, each(bytes-toldBefore[name]))
	}
	say("idle_opened", float64(*idle)/took.Seconds(), "1/s")
	return nil
}

// kept are the connections of this process: Go would close those that nobody has.
var kept [32][]net.Conn

// keep: in a process of its own, opens connections, 32 at a time.
func keep() error {
	var left atomic.Int64
	left.Store(int64(*idle))
	failed := make(chan error)
	for nth := range kept {
		go func() {
			for {
				n := left.Add(-1)
				if n < 0 {
					failed <- nil
					return
				}
				connection, err := request(int(n))
				if err != nil {
					failed <- err
					return
				}
				kept[nth] = append(kept[nth], connection)
			}
		}()
	}
	for range kept {
		if err := <-failed; err != nil {
			return err
		}
	}
	fmt.Println("open")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// request opens a connection, from the address whose turn it is, and has a request answered.
func request(turn int) (net.Conn, error) {
	dialer := net.Dialer{Timeout: time.Minute, KeepAlive: -1}
	if addresses := strings.Fields(*from); len(addresses) > 0 {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(addresses[turn%len(addresses)])}
	}
	connection, err := dialer.Dial("tcp4", at(8080))
	if err != nil {
		return nil, err
	}
	// It ends by a reset: else Linux would send its FIN to the next machine, which has the same address,
	// again and again; those of 10,000 connections fill the TAP device's queue, and frames are lost.
	connection.(*net.TCPConn).SetLinger(0)
	connection.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(connection, "GET / HTTP/1.1\r\nHost: race\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReaderSize(connection, 512), nil)
	if err == nil {
		_, err = io.Copy(io.Discard, answer.Body)
	}
	if err != nil {
		connection.Close()
		return nil, err
	}
	return connection, nil
}
