// The other runner of the race of networks (tests/bench/net.sh): process 1 of a
// Linux guest, and what kernel/examples/netbench.rs serves, by net/http and net.
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	if os.Getpid() == 1 {
		check("mounts", mounts())
		modules("/modules")
		check("eth0", address("10.0.3.2", 24))
		limit := syscall.Rlimit{Cur: 300_000, Max: 300_000}
		check("descriptors", syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	}
	each(7, func(c net.Conn) {
		buffer := make([]byte, 4096)
		for {
			n, err := c.Read(buffer)
			if err != nil {
				return
			}
			if _, err = c.Write(buffer[:n]); err != nil {
				return
			}
		}
	})
	each(9, func(c net.Conn) {
		buffer := make([]byte, 16<<10)
		for {
			if _, err := c.Read(buffer); err != nil {
				return
			}
		}
	})
	each(19, func(c net.Conn) {
		buffer := make([]byte, 16<<10)
		for n := range buffer {
			buffer[n] = ' ' + byte(n%95)
		}
		for {
			if _, err := c.Write(buffer); err != nil {
				return
			}
		}
	})
	http.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello, world\n") })
	http.HandleFunc("/mem", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "available %d\nrss %d\n", bytesOf("/proc/meminfo", "MemAvailable:"), bytesOf("/proc/self/status", "VmRSS:"))
	})
	listener, err := net.Listen("tcp4", ":8080")
	check("port 8080", err)
	fmt.Println("ports 8080, 7, 9 and 19 are served")
	check("http", http.Serve(listener, nil))
}

func check(what string, err error) {
	if err != nil {
		fmt.Println("guest:", what+":", err)
		time.Sleep(time.Hour) // the end of process 1 would be a panic of Linux
	}
}

func mounts() error {
	for _, kind := range []string{"proc", "sysfs", "devtmpfs"} {
		at := map[string]string{"proc": "/proc", "sysfs": "/sys", "devtmpfs": "/dev"}[kind]
		os.MkdirAll(at, 0o755)
		if err := syscall.Mount(kind, at, kind, 0, ""); err != nil && err != syscall.EBUSY {
			return err
		}
	}
	return nil
}

// modules loads all of them. Who needs whom shows when one cannot be loaded yet.
func modules(directory string) {
	names, _ := filepath.Glob(directory + "/*.ko")
	for range names {
		for _, name := range names {
			if file, err := os.Open(name); err == nil {
				empty := []byte{0}
				syscall.Syscall(313, file.Fd(), uintptr(unsafe.Pointer(&empty[0])), 0) // finit_module
				file.Close()
			}
		}
	}
}

// address gives eth0 an address, and sets it and the loop up.
func address(ip string, bits int) error {
	for tries := 0; ; tries++ {
		if _, err := os.Stat("/sys/class/net/eth0"); err == nil {
			break
		} else if tries == 100 {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(socket)
	inet := func(ip []byte) []byte { return append([]byte{syscall.AF_INET, 0, 0, 0}, ip...) }
	up := binary.LittleEndian.AppendUint16(nil, syscall.IFF_UP)
	for _, call := range []struct {
		number   uintptr
		name     string
		argument []byte
	}{
		{syscall.SIOCSIFFLAGS, "lo", up},
		{syscall.SIOCSIFADDR, "eth0", inet(net.ParseIP(ip).To4())},
		{syscall.SIOCSIFNETMASK, "eth0", inet(net.CIDRMask(bits, 32))},
		{syscall.SIOCSIFFLAGS, "eth0", up},
	} {
		var request [40]byte // struct ifreq
		copy(request[:], call.name)
		copy(request[16:], call.argument)
		if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(socket), call.number, uintptr(unsafe.Pointer(&request))); e != 0 {
			return fmt.Errorf("%s: %w", call.name, e)
		}
	}
	return nil
}

// each serves each connection in a goroutine of its own.
func each(port int, serve func(net.Conn)) {
	listener, err := net.Listen("tcp4", fmt.Sprint(":", port))
	check(fmt.Sprint("port ", port), err)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				continue
			}
			go func() {
				defer connection.Close()
				serve(connection)
			}()
		}
	}()
}

// bytesOf finds "NAME: 123 kB" in a file.
func bytesOf(file, name string) (bytes int) {
	open, err := os.Open(file)
	if err != nil {
		return 0
	}
	defer open.Close()
	for lines := bufio.NewScanner(open); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), name); ok {
			fmt.Sscan(rest, &bytes)
			return bytes << 10
		}
	}
	return 0
}
