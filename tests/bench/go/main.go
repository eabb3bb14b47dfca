// The same work as kernel/bench, row by row, in Go. Prints name,value,unit,min,max,n: value is the median.
//
//	go build -ldflags=-checklinkname=0 && GOMAXPROCS=1 ./bench [NAME...]
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const repeats, few = 9, 3

type group struct {
	names   []string
	measure func()
}

var groups = []group{
	{[]string{"yield2"}, func() { yields("yield2", 2, 500_000) }},
	{[]string{"yield100"}, func() { yields("yield100", 100, 20_000) }},
	{[]string{"chan_unbuf_rt"}, chanUnbuffered},
	{[]string{"chan_buf128"}, chanBuffered},
	{[]string{"spawn_join_1"}, spawnJoin1},
	{[]string{"spawn_join_10k"}, spawnJoin10k},
	{[]string{"mutex_free"}, mutexFree},
	{[]string{"mutex_8g"}, func() { mutexEight("mutex_8g", false) }},
	{[]string{"mutex_8g_yield"}, func() { mutexEight("mutex_8g_yield", true) }},
	{[]string{"cond_rt"}, condRT},
	{[]string{"sema_rt"}, semaRT},
	{[]string{"select4_ready"}, selectReady},
	{[]string{"select4_block"}, selectBlock},
	{[]string{"sieve2000"}, sieve2000},
	{[]string{"fib30"}, fib30},
	{[]string{"skynet1m"}, skynet1m},
	{[]string{"blocked1m_spawn", "blocked1m_bytes", "blocked1m_wake"}, blocked},
	{[]string{"timer100k_total", "timer100k_late_p50", "timer100k_late_p99", "timer100k_late_max"}, timers},
	{[]string{"wake_p50", "wake_p99"}, wake},
	{[]string{"fair_p50", "fair_p99", "fair_max"}, fair},
}

func main() {
	wanted := os.Args[1:]
	for _, g := range groups {
		hit := len(wanted) == 0
		for _, name := range g.names {
			for _, w := range wanted {
				hit = hit || name == w || !exact(w) && strings.HasPrefix(name, w)
			}
		}
		if hit {
			calibration()
			g.measure()
		}
	}
}

func exact(name string) bool {
	for _, g := range groups {
		if slices.Contains(g.names, name) {
			return true
		}
	}
	return false
}

func row(name, unit string, value, min, max float64, n int) {
	digits := 2
	if unit == "s" {
		digits = 4
	}
	fmt.Printf("%s,%.*f,%s,%.*f,%.*f,%d\n", name, digits, value, unit, digits, min, digits, max, n)
}

func emit(name, unit string, v []float64) {
	sort.Float64s(v)
	row(name, unit, v[len(v)/2], v[0], v[len(v)-1], len(v))
}

func quantile(name, unit string, v []float64, percent int) {
	sort.Float64s(v)
	row(name, unit, v[min(len(v)*percent/100, len(v)-1)], v[0], v[len(v)-1], len(v))
}

func repeat(name, unit string, n int, measure func() float64) {
	measure()
	var v []float64
	for range n {
		v = append(v, measure())
	}
	emit(name, unit, v)
}

func nsPer(operations int, work func()) float64 {
	start := time.Now()
	work()
	return float64(time.Since(start)) / float64(operations)
}

func seconds(work func()) float64 { return nsPer(1_000_000_000, work) }

var sink uint64

func calibration() {
	const steps = 2_000_000
	repeat("calibration", "ns", 3, func() float64 {
		return nsPer(steps, func() {
			x := uint64(1)
			for range steps {
				x = x*6364136223846793005 + 1
			}
			sink = x
		})
	})
}

func yields(name string, goroutines, rounds int) {
	repeat(name, "ns", repeats, func() float64 {
		return nsPer(goroutines*rounds, func() {
			var wg sync.WaitGroup
			wg.Add(goroutines)
			for range goroutines {
				go func() {
					for range rounds {
						runtime.Gosched()
					}
					wg.Done()
				}()
			}
			wg.Wait()
		})
	})
}

func chanUnbuffered() {
	const rounds = 300_000
	repeat("chan_unbuf_rt", "ns", repeats, func() float64 {
		ping, pong := make(chan int), make(chan int)
		go func() {
			for x := range ping {
				pong <- x
			}
			close(pong)
		}()
		ns := nsPer(rounds, func() {
			for i := range rounds {
				ping <- i
				if <-pong != i {
					panic("wrong")
				}
			}
		})
		close(ping)
		<-pong
		return ns
	})
}

func chanBuffered() {
	const items = 2_000_000
	repeat("chan_buf128", "ns", repeats, func() float64 {
		return nsPer(items, func() {
			c := make(chan int, 128)
			go func() {
				for i := range items {
					c <- i
				}
				close(c)
			}()
			n := 0
			for range c {
				n++
			}
			if n != items {
				panic("wrong")
			}
		})
	})
}

func spawnJoin1() {
	const times = 300_000
	repeat("spawn_join_1", "ns", repeats, func() float64 {
		return nsPer(times, func() {
			var wg sync.WaitGroup
			for range times {
				wg.Add(1)
				go wg.Done()
				wg.Wait()
			}
		})
	})
}

func spawnJoin10k() {
	const rounds = 50
	repeat("spawn_join_10k", "ns", repeats, func() float64 {
		return nsPer(rounds*10_000, func() {
			var wg sync.WaitGroup
			for range rounds {
				wg.Add(10_000)
				for range 10_000 {
					go wg.Done()
				}
				wg.Wait()
			}
		})
	})
}

func mutexFree() {
	const times = 10_000_000
	repeat("mutex_free", "ns", repeats, func() float64 {
		var mu sync.Mutex
		n := 0
		return nsPer(times, func() {
			for range times {
				mu.Lock()
				n++
				mu.Unlock()
			}
		})
	})
}

func mutexEight(name string, yield bool) {
	rounds := 200_000
	if yield {
		rounds = 20_000
	}
	repeat(name, "ns", repeats, func() float64 {
		return nsPer(8*rounds, func() {
			var mu sync.Mutex
			var wg sync.WaitGroup
			n := 0
			wg.Add(8)
			for range 8 {
				go func() {
					for range rounds {
						mu.Lock()
						n++
						if yield {
							runtime.Gosched()
						}
						mu.Unlock()
					}
					wg.Done()
				}()
			}
			wg.Wait()
			if n != 8*rounds {
				panic("wrong")
			}
		})
	})
}

func condRT() {
	const rounds = 300_000
	repeat("cond_rt", "ns", repeats, func() float64 {
		return nsPer(rounds, func() {
			var mu sync.Mutex
			cond := [2]*sync.Cond{sync.NewCond(&mu), sync.NewCond(&mu)}
			turn := 0
			var wg sync.WaitGroup
			wg.Add(2)
			for me := range 2 {
				go func() {
					mu.Lock()
					for range rounds {
						for turn != me {
							cond[me].Wait()
						}
						turn = 1 - me
						cond[1-me].Signal()
					}
					mu.Unlock()
					wg.Done()
				}()
			}
			wg.Wait()
		})
	})
}

func semaRT() {
	const rounds = 300_000
	repeat("sema_rt", "ns", repeats, func() float64 {
		return nsPer(rounds, func() {
			var ping, pong uint32
			done := make(chan bool)
			go func() {
				for range rounds {
					semacquire(&ping)
					semrelease(&pong, false, 0)
				}
				done <- true
			}()
			for range rounds {
				semrelease(&ping, false, 0)
				semacquire(&pong)
			}
			<-done
		})
	})
}

func selectReady() {
	const times = 2_000_000
	repeat("select4_ready", "ns", repeats, func() float64 {
		a, b, c, d := make(chan int, 1), make(chan int, 1), make(chan int, 1), make(chan int, 1)
		return nsPer(times, func() {
			for i := range times {
				c <- i
				select {
				case <-a:
				case <-b:
				case <-c:
				case <-d:
				}
			}
		})
	})
}

func selectBlock() {
	const times = 200_000
	repeat("select4_block", "ns", repeats, func() float64 {
		a, b, c, d := make(chan int), make(chan int), make(chan int), make(chan int)
		done := make(chan bool)
		go func() {
			all := [4]chan int{a, b, c, d}
			for i := range times {
				all[i%4] <- i
			}
			done <- true
		}()
		ns := nsPer(times, func() {
			for range times {
				select {
				case <-a:
				case <-b:
				case <-c:
				case <-d:
				}
			}
		})
		<-done
		return ns
	})
}

func sieve2000() {
	repeat("sieve2000", "s", few, func() float64 {
		// The goroutines of Go's sieve never end by themselves: each round tells its own to.
		quit := make(chan bool)
		s := seconds(func() {
			source := make(chan int)
			go func() {
				for n := 2; ; n++ {
					select {
					case source <- n:
					case <-quit:
						close(source)
						return
					}
				}
			}()
			in, last := source, 0
			for range 2000 {
				last = <-in
				out := make(chan int)
				go filter(last, in, out)
				in = out
			}
			if last != 17389 {
				panic("wrong")
			}
			go func() {
				for range in {
				}
			}()
		})
		close(quit)
		time.Sleep(100 * time.Millisecond)
		return s
	})
}

func filter(prime int, in, out chan int) {
	for n := range in {
		if n%prime != 0 {
			out <- n
		}
	}
	close(out)
}

func fib(n int, out chan int) {
	if n < 2 {
		out <- n
		return
	}
	c := make(chan int, 2)
	go fib(n-1, c)
	go fib(n-2, c)
	out <- <-c + <-c
}

func fib30() {
	repeat("fib30", "s", few, func() float64 {
		return seconds(func() {
			c := make(chan int, 1)
			go fib(30, c)
			if <-c != 832040 {
				panic("wrong")
			}
		})
	})
}

func skynet(parent chan int, number, size int) {
	if size == 1 {
		parent <- number
		return
	}
	c := make(chan int)
	for i := range 10 {
		go skynet(c, number+i*size/10, size/10)
	}
	sum := 0
	for range 10 {
		sum += <-c
	}
	parent <- sum
}

func skynet1m() {
	repeat("skynet1m", "s", few, func() float64 {
		return seconds(func() {
			c := make(chan int)
			go skynet(c, 0, 1_000_000)
			if <-c != 499_999_500_000 {
				panic("wrong")
			}
		})
	})
}

// Bytes of memory in use: resident pages and page tables.
func memory() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	kib := 0
	for line := range strings.Lines(string(status)) {
		f := strings.Fields(line)
		if f[0] == "VmRSS:" || f[0] == "VmPTE:" {
			n, _ := strconv.Atoi(f[1])
			kib += n
		}
	}
	return float64(kib) * 1024
}

func blocked() {
	const million = 1_000_000
	var spawn, wakes []float64
	debug.FreeOSMemory()
	before, bytes := memory(), 0.0
	for round := 0; round <= few; round++ {
		var started atomic.Int64
		gate := make(chan bool)
		var done sync.WaitGroup
		done.Add(million)
		t := seconds(func() {
			for range million {
				go func() {
					started.Add(1)
					<-gate
					done.Done()
				}()
			}
			for started.Load() < million {
				runtime.Gosched()
			}
		})
		if round == 0 {
			bytes = (memory() - before) / million
		}
		w := seconds(func() {
			close(gate)
			done.Wait()
		})
		if round > 0 {
			spawn, wakes = append(spawn, t), append(wakes, w)
		}
	}
	emit("blocked1m_spawn", "s", spawn)
	emit("blocked1m_bytes", "bytes", []float64{bytes})
	emit("blocked1m_wake", "s", wakes)
}

func timers() {
	const count = 100_000
	late := make([]float64, count)
	var total []float64
	for round := 0; round <= few; round++ {
		s := seconds(func() {
			var done sync.WaitGroup
			done.Add(count)
			for i := range count {
				go func() {
					ns := time.Duration(uint64(i) * 0x9e37_79b9_7f4a_7c15 % 1_000_000_000)
					due := time.Now().Add(ns)
					time.Sleep(ns)
					late[i] = float64(time.Since(due)) / 1000
					done.Done()
				}()
			}
			done.Wait()
		})
		if round > 0 {
			total = append(total, s)
		}
	}
	emit("timer100k_total", "s", total)
	quantile("timer100k_late_p50", "us", late, 50)
	quantile("timer100k_late_p99", "us", late, 99)
	quantile("timer100k_late_max", "us", late, 100)
}

func wake() {
	if runtime.GOMAXPROCS(0) < 2 {
		return
	}
	const samples = 1000
	c := make(chan time.Time)
	var latency atomic.Int64
	go func() {
		for sent := range c {
			latency.Store(max(int64(time.Since(sent)), 1))
		}
	}()
	var v []float64
	for range samples {
		time.Sleep(time.Millisecond)
		for until := time.Now().Add(300 * time.Microsecond); time.Now().Before(until); {
		}
		latency.Store(0)
		c <- time.Now()
		for latency.Load() == 0 {
		}
		v = append(v, float64(latency.Load())/1000)
	}
	close(c)
	quantile("wake_p50", "us", v, 50)
	quantile("wake_p99", "us", v, 99)
}

func fair() {
	var stop atomic.Bool
	var hogs sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) {
		hogs.Add(1)
		go func() {
			for !stop.Load() {
				for i := range 1000 {
					sink = uint64(i)
				}
			}
			hogs.Done()
		}()
	}
	var v []float64
	for range 200 {
		due := time.Now().Add(20 * time.Millisecond)
		time.Sleep(20 * time.Millisecond)
		v = append(v, float64(time.Since(due))/1000)
	}
	stop.Store(true)
	hogs.Wait()
	quantile("fair_p50", "us", v, 50)
	quantile("fair_p99", "us", v, 99)
	quantile("fair_max", "us", v, 100)
}
