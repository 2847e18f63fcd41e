;; Closes a connection when its address has too many already. Envoy can limit all connections together, or how often
;; they come, but knows no limit by address. One runs in every worker thread: what it counts are that thread's.
;;
;; An address is counted at one of 65,536 places, by a hash that begins with a random number. The table never grows.
(module
  (import "env" "proxy_get_property" (func $get_property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $get_buffer_bytes (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_close_stream" (func $close_stream (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))

  ;; 0: where the host puts a text, 4: how long it is, 8: the first hash, 16: the path of the property,
  ;; 1024: room for a text, 65,536: the counters, four bytes each.
  (memory (export "memory") 5)
  (data (i32.const 16) "source\00address\00")
  (global $most (mut i32) (i32.const 0))

  (func (export "proxy_abi_version_0_2_1"))
  (func (export "_initialize"))
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (i32.const 1024))
  (func (export "proxy_on_context_create") (param $context i32) (param $parent i32))
  (func (export "proxy_on_vm_start") (param $context i32) (param $size i32) (result i32)
    (i32.eqz (call $random_get (i32.const 8) (i32.const 4))))

  ;; The configuration is the limit, in decimal digits. Every listener configures the module, all alike.
  (func (export "proxy_on_configure") (param $context i32) (param $size i32) (result i32)
    (local $at i32)
    (global.set $most (i32.const 0))
    (if (call $get_buffer_bytes (i32.const 7) (i32.const 0) (local.get $size) (i32.const 0) (i32.const 4))
      (then (return (i32.const 0))))
    (loop $digit
      (if (i32.lt_u (local.get $at) (local.get $size))
        (then
          (global.set $most
            (i32.add
              (i32.mul (global.get $most) (i32.const 10))
              (i32.sub (i32.load8_u offset=1024 (local.get $at)) (i32.const 48))))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $digit))))
    (i32.const 1))

  ;; Where the address of the connection at hand is counted. "1.2.3.4:5" counts as "1.2.3.4", and "[2001:db8:1:2::3]:5"
  ;; as "[2001:db8:1:2": reading ends at the first colon or, after a bracket, at the fourth or at two in a row.
  (func $counter (result i32)
    (local $at i32) (local $size i32) (local $colons i32) (local $byte i32) (local $before i32) (local $hash i32)
    (local.set $hash (i32.load (i32.const 8)))
    (if (call $get_property (i32.const 16) (i32.const 15) (i32.const 0) (i32.const 4))
      (then (return (i32.const 65536))))
    (local.set $size (i32.load (i32.const 4)))
    (local.set $colons (select (i32.const 4) (i32.const 1) (i32.eq (i32.load8_u (i32.const 1024)) (i32.const 91))))
    (block $read
      (loop $next
        (br_if $read (i32.ge_u (local.get $at) (local.get $size)))
        (local.set $byte (i32.load8_u offset=1024 (local.get $at)))
        (if (i32.eq (local.get $byte) (i32.const 58))
          (then
            (local.set $colons (i32.sub (local.get $colons) (i32.const 1)))
            (br_if $read (i32.eqz (local.get $colons)))
            (br_if $read (i32.eq (local.get $before) (i32.const 58)))))
        (local.set $hash (i32.mul (i32.xor (local.get $hash) (local.get $byte)) (i32.const 16777619)))
        (local.set $before (local.get $byte))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (i32.add (i32.const 65536) (i32.shl (i32.shr_u (local.get $hash) (i32.const 16)) (i32.const 2))))

  ;; One that is refused counts too, until it is closed: that is at once.
  (func (export "proxy_on_new_connection") (param $context i32) (result i32)
    (local $counter i32) (local $count i32)
    (local.set $counter (call $counter))
    (local.set $count (i32.add (i32.load (local.get $counter)) (i32.const 1)))
    (i32.store (local.get $counter) (local.get $count))
    (if (i32.le_u (local.get $count) (global.get $most))
      (then (return (i32.const 0))))
    (drop (call $close_stream (i32.const 2)))
    (i32.const 1))

  (func (export "proxy_on_downstream_connection_close") (param $context i32) (param $by i32)
    (local $counter i32)
    (local.set $counter (call $counter))
    (if (i32.load (local.get $counter))
      (then (i32.store (local.get $counter) (i32.sub (i32.load (local.get $counter)) (i32.const 1)))))))
