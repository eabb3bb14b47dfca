package main

import _ "unsafe" // for go:linkname; built with -ldflags=-checklinkname=0

// The runtime's own semaphore, which sync is made of.
//
//go:linkname semacquire sync.runtime_Semacquire
func semacquire(s *uint32)

//go:linkname semrelease sync.runtime_Semrelease
func semrelease(s *uint32, handoff bool, skipframes int)
