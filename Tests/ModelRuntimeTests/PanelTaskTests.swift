import CKernels
import ModelRuntime
import ServingTestKit
import Testing

/// However rows are cut among threads, each element is normalised, gated and quantised into its token's lane.
struct PanelTaskTests {
  private static let columns = 672

  private static func withPanels(_ rows: Int, _ body: (UnsafeMutablePointer<k_panel>) -> Void) -> [UInt8] {
    let count = k_panel_count(rows, columns)
    let panels = UnsafeMutablePointer<k_panel>.allocate(capacity: count)
    defer { panels.deallocate() }
    let bytes = UnsafeMutableRawBufferPointer(start: panels, count: count * MemoryLayout<k_panel>.stride)
    bytes.initializeMemory(as: UInt8.self, repeating: 0x5a)
    body(panels)
    return Array(bytes)
  }

  private static func expectedPanels(_ x: [Float], rows: Int, _ kernels: k_kernels) -> [UInt8] {
    withPanels(rows) { panels in
      x.withUnsafeBufferPointer { x in
        guard let first = x.baseAddress else { return }
        for row in 0..<rows {
          kernels.quantize(
            first + row * columns, columns, panels + k_panel_index(row, columns), row % Int(K_PANEL_TOKENS), nil)
        }
      }
    }
  }

  @Test(arguments: [1, 7, 8, 9, 21], [32, 128, 224, 672, 1_024] as [UInt32])
  func rowsAreQuantisedOnce(rows: Int, columnsPerTask: UInt32) throws {
    let kernels = try #require(KernelPath.best.kernels)
    let pool = try ThreadPool(threadCount: 3)
    let x = KernelTests.floats(rows * Self.columns, seed: 41)
    let actual = Self.withPanels(rows) { panels in
      x.withUnsafeBufferPointer { x in
        var job = k_quantize_job(
          kernels: kernels, rows: UInt32(rows), columns: UInt32(Self.columns), columns_per_task: columnsPerTask,
          input: x.baseAddress, panels: panels)
        let count = k_panel_tasks(job.rows, job.columns, columnsPerTask)
        withUnsafePointer(to: &job) { job in pool.parallel(count) { k_quantize_task(job, $0) } }
      }
    }
    #expect(actual == Self.expectedPanels(x, rows: rows, kernels.pointee))
  }

  @Test(arguments: [1, 8, 21], [128, 224, 1_024] as [UInt32])
  func rowsAreGatedOnce(rows: Int, columnsPerTask: UInt32) throws {
    let kernels = try #require(KernelPath.best.kernels)
    let pool = try ThreadPool(threadCount: 3)
    let count = rows * Self.columns
    let gate = KernelTests.floats(count, seed: 42, scale: 4)
    let up = KernelTests.floats(count, seed: 43)
    var gated = [Float](repeating: .nan, count: count)
    kernels.pointee.gate(K_GATE_SILU, gate, up, count, &gated)
    // In place of the gate, as a layer does it.
    var output = gate
    let actual = Self.withPanels(rows) { panels in
      output.withUnsafeMutableBufferPointer { output in
        up.withUnsafeBufferPointer { up in
          var job = k_gate_job(
            kernels: kernels, rows: UInt32(rows), columns: UInt32(Self.columns), columns_per_task: columnsPerTask,
            kind: K_GATE_SILU, gate: output.baseAddress, up: up.baseAddress, output: output.baseAddress,
            panels: panels)
          let tasks = k_panel_tasks(job.rows, job.columns, columnsPerTask)
          withUnsafePointer(to: &job) { job in pool.parallel(tasks) { k_gate_task(job, $0) } }
        }
      }
    }
    #expect(output == gated)
    #expect(actual == Self.expectedPanels(gated, rows: rows, kernels.pointee))
  }

  @Test(arguments: [8, 16, 21] as [UInt32])
  func rowsAreNormalisedOnce(rowsPerTask: UInt32) throws {
    let kernels = try #require(KernelPath.best.kernels)
    let pool = try ThreadPool(threadCount: 3)
    let (rows, columns) = (21, Self.columns)
    var residual = KernelTests.floats(rows * columns, seed: 44)
    let weight = KernelTests.floats(columns, seed: 45)
    var normed = [Float](repeating: .nan, count: rows * columns)
    var output = normed
    var outliers = [k_outlier](repeating: .init(), count: rows)
    for row in 0..<rows {
      residual[row * columns..<(row + 1) * columns].withUnsafeBufferPointer { x in
        normed[row * columns..<(row + 1) * columns].withUnsafeMutableBufferPointer { y in
          kernels.pointee.rms_norm(x.baseAddress, weight, 1e-5, columns, y.baseAddress)
        }
      }
    }
    let actual = Self.withPanels(rows) { panels in
      residual.withUnsafeMutableBufferPointer { residual in
        output.withUnsafeMutableBufferPointer { output in
          outliers.withUnsafeMutableBufferPointer { outliers in
            weight.withUnsafeBufferPointer { weight in
              var job = k_norm_job()
              job.kernels = kernels
              (job.rows, job.rows_per_task, job.columns) = (UInt32(rows), rowsPerTask, UInt32(columns))
              job.epsilon = 1e-5
              (job.residual, job.weight, job.output) = (residual.baseAddress, weight.baseAddress, output.baseAddress)
              (job.panels, job.outliers) = (panels, outliers.baseAddress)
              let tasks = (rows - 1) / Int(rowsPerTask) + 1
              withUnsafePointer(to: &job) { job in pool.parallel(tasks) { k_norm_task(job, $0) } }
            }
          }
        }
      }
    }
    #expect(output == normed)
    for row in 0..<rows {
      let column = row * columns + Int(outliers[row].column)
      #expect(outliers[row].value == normed[column])
      normed[column] = 0
    }
    #expect(actual == Self.expectedPanels(normed, rows: rows, kernels.pointee))
  }
}
