import Foundation

/// Arithmetic and comparison with Python's rules.
extension TemplateInterpreter {
    /// A number, where Python takes `True` as 1.
    enum Number {
        case int(Int)
        case double(Double)

        init?(_ value: TemplateValue) {
            switch value {
            case .bool(let flag): self = .int(flag ? 1 : 0)
            case .int(let value): self = .int(value)
            case .double(let value): self = .double(value)
            default: return nil
            }
        }

        var double: Double {
            switch self {
            case .int(let value): Double(value)
            case .double(let value): value
            }
        }
    }

    func combine(
        _ operation: TemplateOperator, _ left: TemplateValue, _ right: TemplateValue
    ) throws(TemplateError) -> TemplateValue {
        if let a = Number(left), let b = Number(right) {
            if case .int(let a) = a, case .int(let b) = b { return try combine(operation, a, b) }
            return try combine(operation, a.double, b.double)
        }
        if operation == .modulo, case .string(let format) = left {
            return .string(try PythonFormat.percent(format, right, self))
        }
        if case .undefined(let undefined) = left { throw undefined.error }
        if case .undefined(let undefined) = right { throw undefined.error }
        switch (operation, left, right) {
        case (.add, .string(let a), .string(let b)): return .string(try join(a, b))
        case (.add, .list(let a), .list(let b)): return .list(try list(a.items + b.items))
        case (.add, .tuple(let a), .tuple(let b)): return .tuple(try list(a.items + b.items))
        case (.add, .string, _), (.add, .list, _), (.add, .tuple, _):
            throw TemplateError(
                .runtime,
                "can only concatenate \(left.typeName) (not \"\(right.typeName)\") to \(left.typeName)")
        case (.multiply, .string, .int), (.multiply, .string, .bool), (.multiply, .list, .int),
            (.multiply, .list, .bool), (.multiply, .tuple, .int), (.multiply, .tuple, .bool):
            return try repeated(left, right)
        case (.multiply, .int, .string), (.multiply, .bool, .string), (.multiply, .int, .list),
            (.multiply, .bool, .list), (.multiply, .int, .tuple), (.multiply, .bool, .tuple):
            return try repeated(right, left)
        default:
            let symbol = operation == .power ? "** or pow()" : operation.rawValue
            throw TemplateError(
                .runtime,
                "unsupported operand type(s) for \(symbol): '\(left.typeName)' and '\(right.typeName)'")
        }
    }

    /// `left + right`; a `Markup` escapes what is added to it.
    func join(_ left: TemplateText, _ right: TemplateText) throws(TemplateError) -> TemplateText {
        var text = left
        if left.isMarkup != right.isMarkup {
            text = left.isMarkup ? left : TemplateHTML.escaped(left)
            text.append(left.isMarkup ? TemplateHTML.escaped(right) : right)
        } else {
            text.append(right)
        }
        try spend(text)
        return text
    }

    private func repeated(_ value: TemplateValue, _ times: TemplateValue) throws(TemplateError) -> TemplateValue {
        guard case .int(let count)? = Number(times), count > 0 else {
            switch value {
            case .string: return .string(TemplateText([]))
            case .tuple: return .tuple(try list([]))
            default: return .list(try list([]))
            }
        }
        let size: Int
        switch value {
        case .string(let text): size = text.bytes.count
        case .list(let list), .tuple(let list): size = list.items.count
        default: size = 0
        }
        let (total, overflows) = size.multipliedReportingOverflow(by: count)
        try checkRepeat(overflows ? .max : total)
        try spend(total >> 3)
        switch value {
        case .string(let text):
            var result = TemplateText([], isMarkup: text.isMarkup)
            result.bytes.reserveCapacity(total)
            if size > 0 { for _ in 0..<count { result.bytes.append(contentsOf: text.bytes) } }
            return .string(result.attributed(to: text.origin))
        case .list(let items), .tuple(let items):
            var result: [TemplateValue] = []
            if size > 0 { for _ in 0..<count { result.append(contentsOf: items.items) } }
            if case .tuple = value { return .tuple(try list(result)) }
            return .list(try list(result))
        default: return value
        }
    }

    private func combine(_ operation: TemplateOperator, _ a: Int, _ b: Int) throws(TemplateError) -> TemplateValue {
        let result: (partialValue: Int, overflow: Bool)
        switch operation {
        case .add: result = a.addingReportingOverflow(b)
        case .subtract: result = a.subtractingReportingOverflow(b)
        case .multiply: result = a.multipliedReportingOverflow(by: b)
        case .divide:
            guard b != 0 else { throw TemplateError(.runtime, "division by zero") }
            return .double(Double(a) / Double(b))
        case .floorDivide, .modulo:
            guard b != 0 else { throw TemplateError(.runtime, "integer division or modulo by zero") }
            // Python rounds the quotient down; the remainder has the divisor's sign.
            let (quotient, overflow) = a.dividedReportingOverflow(by: b)
            let remainder = overflow ? 0 : a % b
            let isInexact = remainder != 0 && (remainder < 0) != (b < 0)
            if operation == .modulo { return .int(isInexact ? remainder + b : remainder) }
            result = (isInexact ? quotient - 1 : quotient, overflow)
        case .power:
            if b < 0 {
                guard a != 0 else {
                    throw TemplateError(.runtime, "0.0 cannot be raised to a negative power")
                }
                return .double(pow(Double(a), Double(b)))
            }
            return .int(try power(a, b))
        }
        guard !result.overflow else { throw overflow() }
        return .int(result.partialValue)
    }

    private func power(_ base: Int, _ exponent: Int) throws(TemplateError) -> Int {
        if base == 0 || base == 1 { return exponent == 0 ? 1 : base }
        if base == -1 { return exponent % 2 == 0 ? 1 : -1 }
        guard exponent < 64 else { throw overflow() }
        var result = 1
        for _ in 0..<exponent {
            let (product, overflows) = result.multipliedReportingOverflow(by: base)
            guard !overflows else { throw overflow() }
            result = product
        }
        return result
    }

    private func combine(
        _ operation: TemplateOperator, _ a: Double, _ b: Double
    ) throws(TemplateError) -> TemplateValue {
        switch operation {
        case .add: return .double(a + b)
        case .subtract: return .double(a - b)
        case .multiply: return .double(a * b)
        case .divide:
            guard b != 0 else { throw TemplateError(.runtime, "float division by zero") }
            return .double(a / b)
        case .floorDivide, .modulo:
            guard b != 0 else { throw TemplateError(.runtime, "float modulo") }
            var remainder = fmod(a, b)
            var quotient = (a - remainder) / b
            if remainder != 0 {
                if (b < 0) != (remainder < 0) {
                    remainder += b
                    quotient -= 1
                }
            } else {
                remainder = copysign(0, b)
            }
            if operation == .modulo { return .double(remainder) }
            guard quotient != 0 else { return .double(copysign(0, a / b)) }
            let floored = quotient.rounded(.down)
            return .double(quotient - floored > 0.5 ? floored + 1 : floored)
        case .power:
            guard a != 0 || b >= 0 else {
                throw TemplateError(.runtime, "0.0 cannot be raised to a negative power")
            }
            guard a >= 0 || b == b.rounded() else {
                throw TemplateError(.runtime, "a negative number to a fractional power is complex")
            }
            let result = pow(a, b)
            guard result.isFinite || !a.isFinite || !b.isFinite else {
                throw TemplateError(.runtime, "(34, 'Numerical result out of range')")
            }
            return .double(result)
        }
    }

    // MARK: comparison

    func compare(
        _ operation: TemplateComparison, _ left: TemplateValue, _ right: TemplateValue
    ) throws(TemplateError) -> Bool {
        switch operation {
        case .equal: return try equals(left, right)
        case .notEqual: return !(try equals(left, right))
        case .isIn: return try contains(right, left)
        case .notIn: return !(try contains(right, left))
        case .less: return try isLess(left, right, "<")
        case .greater: return try isLess(right, left, ">", swapped: true)
        case .lessOrEqual: return try isLess(left, right, "<=", orEqual: true)
        case .greaterOrEqual: return try isLess(right, left, ">=", orEqual: true, swapped: true)
        }
    }

    func equals(_ left: TemplateValue, _ right: TemplateValue) throws(TemplateError) -> Bool {
        if let a = Number(left), let b = Number(right) {
            if case .int(let a) = a, case .int(let b) = b { return a == b }
            return a.double == b.double
        }
        switch (left, right) {
        case (.string(let a), .string(let b)):
            try spend(min(a.bytes.count, b.bytes.count) >> 8)
            return a.bytes == b.bytes
        case (.none, .none), (.undefined, .undefined): return true
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
            guard a.items.count == b.items.count else { return false }
            for (x, y) in zip(a.items, b.items) {
                try spend()
                guard try equals(x, y) else { return false }
            }
            return true
        case (.dict(let a), .dict(let b)):
            guard a.count == b.count else { return false }
            for entry in a.entries {
                try spend()
                guard let key = TemplateKey(entry.key), let other = b.value(key), try equals(entry.value, other)
                else { return false }
            }
            return true
        case (.range(let a), .range(let b)):
            return a.count == b.count && (a.count == 0 || a.start == b.start && (a.count == 1 || a.step == b.step))
        case (.list, _), (.tuple, _), (.dict, _), (_, .list), (_, .tuple), (_, .dict): return false
        default:
            guard let a = TemplateKey(left), let b = TemplateKey(right) else { return false }
            return a == b
        }
    }

    /// `left < right` (or `<=`). `symbol` is the operator of the source, for the message; `swapped` tells that the
    /// operands were exchanged to get here.
    func isLess(
        _ left: TemplateValue, _ right: TemplateValue, _ symbol: String, orEqual: Bool = false, swapped: Bool = false
    ) throws(TemplateError) -> Bool {
        if let a = Number(left), let b = Number(right) {
            if case .int(let a) = a, case .int(let b) = b { return orEqual ? a <= b : a < b }
            return orEqual ? a.double <= b.double : a.double < b.double
        }
        switch (left, right) {
        case (.undefined(let undefined), _), (_, .undefined(let undefined)): throw undefined.error
        case (.string(let a), .string(let b)):
            try spend(min(a.bytes.count, b.bytes.count) >> 8)
            // UTF-8 sorts as code points do.
            return orEqual
                ? !b.bytes.lexicographicallyPrecedes(a.bytes) : a.bytes.lexicographicallyPrecedes(b.bytes)
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
            for (x, y) in zip(a.items, b.items) {
                try spend()
                if try equals(x, y) { continue }
                return try isLess(x, y, symbol, orEqual: orEqual, swapped: swapped)
            }
            return orEqual ? a.items.count <= b.items.count : a.items.count < b.items.count
        default:
            let (first, second) = swapped ? (right, left) : (left, right)
            throw TemplateError(
                .runtime,
                "'\(symbol)' not supported between instances of '\(first.typeName)' and '\(second.typeName)'")
        }
    }

    func contains(_ container: TemplateValue, _ value: TemplateValue) throws(TemplateError) -> Bool {
        switch container {
        case .string(let text):
            guard case .string(let needle) = value else {
                if case .undefined(let undefined) = value, case .unsafe = undefined.reason { throw undefined.error }
                throw TemplateError(
                    .runtime, "'in <string>' requires string as left operand, not \(value.typeName)")
            }
            try spend(bytes: text.bytes.count)
            return text.firstIndex(of: needle.bytes) != nil
        case .dict(let dict):
            guard let key = TemplateKey(value) else {
                throw TemplateError(.runtime, "unhashable type: '\(value.typeName)'")
            }
            return dict.value(key) != nil
        case .generator(let generator):
            while let item = generator.next() {
                try spend()
                if try equals(item, value) { return true }
            }
            return false
        case .none, .bool, .int, .double, .namespace, .callable, .cycler, .joiner:
            throw TemplateError(.runtime, "argument of type '\(container.typeName)' is not iterable")
        default:
            for item in try elements(container) {
                try spend()
                if try equals(item, value) { return true }
            }
            return false
        }
    }
}
