import Foundation

/// The moment `strftime_now` shows, in local time as Python's `datetime.now()` has it.
public struct TemplateClock: Sendable {
    /// The year, such as 2025.
    public var year: Int
    /// The month, from 1.
    public var month: Int
    /// The day of the month, from 1.
    public var day: Int
    /// The hour, from 0 to 23.
    public var hour: Int
    /// The minute.
    public var minute: Int
    /// The second.
    public var second: Int

    /// A given moment. Pin it where renderings must be repeatable.
    public init(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
        self.year = year
        self.month = month
        self.day = day
        self.hour = hour
        self.minute = minute
        self.second = second
    }

    /// Now, by the machine's clock and time zone.
    public static var now: TemplateClock {
        let parts = Calendar(identifier: .gregorian).dateComponents(
            [.year, .month, .day, .hour, .minute, .second], from: Date())
        return TemplateClock(
            year: parts.year ?? 1970, month: parts.month ?? 1, day: parts.day ?? 1, hour: parts.hour ?? 0,
            minute: parts.minute ?? 0, second: parts.second ?? 0)
    }

    private static let weekdays = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
    private static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    ]

    /// The day of the week, 0 for Sunday, and of the year, from 0. Gregorian calendar.
    private var dayNumbers: (week: Int, year: Int) {
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]
        let isLeap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
        let ofYear = before[min(max(month, 1), 12) - 1] + (isLeap && month > 2 ? 1 : 0) + day - 1
        // Days since Sunday, 31 December of the year before year 1.
        let past = year - 1
        let total = past * 365 + past / 4 - past / 100 + past / 400 + ofYear + 1
        return (((total % 7) + 7) % 7, ofYear)
    }

    /// The moment by a format of `strftime`, in the C locale; unknown directives stay as they are.
    public func formatted(_ format: String) -> String {
        var result = ""
        let scalars = Array(format.unicodeScalars)
        var index = 0
        while index < scalars.count {
            guard scalars[index] == "%", index + 1 < scalars.count else {
                result.unicodeScalars.append(scalars[index])
                index += 1
                continue
            }
            var next = index + 1
            var flag: Unicode.Scalar?
            if "-_0^#".unicodeScalars.contains(scalars[next]), next + 1 < scalars.count {
                flag = scalars[next]
                next += 1
            }
            if let text = directive(scalars[next], flag) {
                result += text
            } else {
                for scalar in scalars[index...next] { result.unicodeScalars.append(scalar) }
            }
            index = next + 1
        }
        return result
    }

    private func directive(_ letter: Unicode.Scalar, _ flag: Unicode.Scalar?) -> String? {
        let (weekday, yearDay) = dayNumbers
        func number(_ value: Int, _ width: Int, _ fill: String = "0") -> String {
            let digits = String(value)
            if flag == "-" { return digits }
            let filling = flag == "_" ? " " : flag == "0" ? "0" : fill
            return String(repeating: filling, count: max(0, width - digits.utf8.count)) + digits
        }
        func word(_ text: String) -> String { flag == "^" ? text.uppercased() : text }
        let hour12 = hour % 12 == 0 ? 12 : hour % 12
        let monthName = Self.months[min(max(month, 1), 12) - 1]
        switch letter {
        case "Y": return String(year)
        case "y": return number(year % 100, 2)
        case "C": return number(year / 100, 2)
        case "m": return number(month, 2)
        case "d": return number(day, 2)
        case "e": return number(day, 2, " ")
        case "H": return number(hour, 2)
        case "k": return number(hour, 2, " ")
        case "I": return number(hour12, 2)
        case "l": return number(hour12, 2, " ")
        case "M": return number(minute, 2)
        case "S": return number(second, 2)
        case "f": return number(0, 6)
        case "j": return number(yearDay + 1, 3)
        case "p": return hour < 12 ? "AM" : "PM"
        case "P": return hour < 12 ? "am" : "pm"
        case "A": return word(Self.weekdays[weekday])
        case "a": return word(String(Self.weekdays[weekday].prefix(3)))
        case "B": return word(monthName)
        case "b", "h": return word(String(monthName.prefix(3)))
        case "u": return String(weekday == 0 ? 7 : weekday)
        case "w": return String(weekday)
        case "U": return number((yearDay + 7 - weekday) / 7, 2)
        case "W": return number((yearDay + 7 - (weekday + 6) % 7) / 7, 2)
        case "D", "x": return formatted("%m/%d/%y")
        case "F": return formatted("%Y-%m-%d")
        case "T", "X": return formatted("%H:%M:%S")
        case "R": return formatted("%H:%M")
        case "r": return formatted("%I:%M:%S %p")
        case "c": return formatted("%a %b %e %H:%M:%S %Y")
        case "n": return "\n"
        case "t": return "\t"
        case "z", "Z": return ""
        case "%": return "%"
        default: return nil
        }
    }
}
